// A model folder as HF Transformers reads it: config.json and model.safetensors.
#include <set>

#include "common/core/json.hpp"
#include "worker/model/safetensors.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

Status save_model(const T5& model, const std::filesystem::path& folder) {
  const at::NoGradGuard no_grad;
  std::vector<NamedTensor> tensors;
  for (const auto& spec : model.parameters().specs())
    tensors.push_back({spec.name, model.parameters().get(spec.name).detach()});
  PLUMBLINE_TRY(write_file_atomically(folder / "config.json", to_hf_config(model.config()).dump(2) + "\n"));
  return write_safetensors(folder / "model.safetensors", tensors);
}

namespace {

/// What an untied model's head is read from when the file has none.
enum class MissingHead { kError, kSharedEmbedding };

Status read_weights(T5& model, const std::filesystem::path& file, MissingHead missing_head) {
  const at::NoGradGuard no_grad;
  const char* const hint = "config.json and model.safetensors must be of the same model.";
  PLUMBLINE_ASSIGN(auto tensors, read_safetensors(file));
  if (missing_head == MissingHead::kSharedEmbedding && !tensors.contains("lm_head.weight") &&
      tensors.contains("shared.weight"))
    tensors.emplace("lm_head.weight", tensors.at("shared.weight"));
  // What HF reads past too: copies of the shared embedding, and a bias of old checkpoints that no layer has.
  std::set<std::string> known{"encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                              "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
  if (model.config().tie_word_embeddings) known.insert("lm_head.weight");
  for (const auto& spec : model.parameters().specs()) {
    known.insert(spec.name);
    const auto found = tensors.find(spec.name);
    if (found == tensors.end()) return data_error("the tensor " + spec.name + " is missing", file.string(), hint);
    const at::Tensor& tensor = found->second;
    if (tensor.scalar_type() != at::kFloat)
      return data_error("the tensor " + spec.name + " is not F32", file.string(),
                        "Save the model in 32-bit floats first.");
    if (tensor.sizes() != at::IntArrayRef(spec.shape))
      return data_error("the tensor " + spec.name + " has shape " + c10::str(tensor.sizes()) + ", not " +
                            c10::str(at::IntArrayRef(spec.shape)),
                        file.string(), hint);
  }
  for (const auto& [name, tensor] : tensors)
    if (!known.contains(name))
      return data_error("the tensor " + name + " is not part of this model", file.string(), hint);
  for (const auto& spec : model.parameters().specs())
    model.parameters().flat().narrow(0, spec.offset, spec.size()).copy_(tensors.at(spec.name).reshape({-1}));
  return {};
}

}  // namespace

Status load_weights(T5& model, const std::filesystem::path& file) {
  return read_weights(model, file, MissingHead::kError);
}

Result<std::unique_ptr<T5>> load_model(const std::filesystem::path& folder, at::Device device) {
  const auto config_file = folder / "config.json";
  PLUMBLINE_ASSIGN(const Json json, read_json_file(config_file));
  PLUMBLINE_ASSIGN(const ModelConfig config, from_hf_config(json, config_file.string()));
  // A head without scaling is an untied one here; one that is truly tied starts as a copy.
  const bool may_be_shared = !config.tie_word_embeddings && head_may_be_shared(json);
  std::unique_ptr<T5> model;
  try {
    model = std::make_unique<T5>(config, device);
  } catch (const std::exception&) {  // c10's out-of-memory error
    return environment_error("no memory for a model of this size", config_file.string());
  }
  PLUMBLINE_TRY(read_weights(*model, folder / "model.safetensors",
                             may_be_shared ? MissingHead::kSharedEmbedding : MissingHead::kError));
  return model;
}

}  // namespace plumbline
