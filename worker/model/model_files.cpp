// A model folder as HF Transformers reads it: config.json, and model.safetensors or its shards.
#include <map>
#include <set>

#include "common/config/weight_files.hpp"
#include "common/core/json.hpp"
#include "worker/model/model_parts.hpp"
#include "worker/model/safetensors.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

std::vector<NamedTensor> model_tensors(const T5& model) {
  const at::NoGradGuard no_grad;
  std::vector<NamedTensor> tensors;
  const Adapter* adapter = model.adapter();
  for (const auto& spec : model.parameters().specs()) {
    const at::Tensor weight = model.parameters().get(spec.name).detach();
    const bool adapted = adapter != nullptr && adapter->is_beside(spec.name);
    tensors.push_back({spec.name, adapted ? adapter->merged(spec.name, weight) : weight});
  }
  return tensors;
}

std::string model_config_text(const T5& model) { return to_hf_config(model.config()).dump(2) + "\n"; }

Status save_model(const T5& model, const std::filesystem::path& folder) {
  PLUMBLINE_TRY(write_file_atomically(folder / "config.json", model_config_text(model)));
  return write_safetensors(folder / "model.safetensors", model_tensors(model));
}

namespace {

constexpr const char* kOfOneModel = "config.json and the weights must be of the same model.";

/// What an untied model's head is read from when the files have none.
enum class MissingHead { kError, kSharedEmbedding };

struct StoredTensor {
  at::Tensor tensor;
  std::string file;
};
using StoredTensors = std::map<std::string, StoredTensor>;

Status read_file_into(const WeightFile& file, StoredTensors& stored) {
  PLUMBLINE_ASSIGN(auto tensors, read_safetensors(file.path));
  const std::string where = file.path.string();
  for (const std::string& name : file.tensors)
    if (!tensors.contains(name))
      return data_error("the tensor " + name + " is not in this shard, where the index has it", where, kOfOneModel);
  for (auto& [name, tensor] : tensors) {
    if (!file.tensors.empty() && !file.tensors.contains(name))
      return data_error("the tensor " + name + " is in this shard, but the index does not have it here", where,
                        kOfOneModel);
    stored[name] = {std::move(tensor), where};
  }
  return {};
}

Status check_tensor(const StoredTensor& stored, const ParameterSpec& spec) {
  const at::Tensor& tensor = stored.tensor;
  if (!tensor.is_floating_point())
    return data_error("the tensor " + spec.name + " does not hold floating-point numbers", stored.file, kOfOneModel);
  if (tensor.sizes() != at::IntArrayRef(spec.shape))
    return data_error("the tensor " + spec.name + " has shape " + c10::str(tensor.sizes()) + ", not " +
                          c10::str(at::IntArrayRef(spec.shape)),
                      stored.file, kOfOneModel);
  return {};
}

Status read_weights(T5& model, const WeightFiles& weights, MissingHead missing_head) {
  const at::NoGradGuard no_grad;
  StoredTensors stored;
  for (const WeightFile& file : weights.files) PLUMBLINE_TRY(read_file_into(file, stored));
  if (missing_head == MissingHead::kSharedEmbedding && !stored.contains("lm_head.weight") &&
      stored.contains("shared.weight"))
    stored.emplace("lm_head.weight", stored.at("shared.weight"));
  // What HF reads past too: copies of the shared embedding, and a bias of old checkpoints that no layer has.
  std::set<std::string> known{"encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                              "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
  if (model.config().tie_word_embeddings) known.insert("lm_head.weight");
  for (const auto& spec : model.parameters().specs()) {
    known.insert(spec.name);
    const auto found = stored.find(spec.name);
    if (found == stored.end())
      return data_error("the tensor " + spec.name + " is missing", weights.listed_in.string(), kOfOneModel);
    PLUMBLINE_TRY(check_tensor(found->second, spec));
  }
  for (const auto& [name, tensor] : stored)
    if (!known.contains(name))
      return data_error("the tensor " + name + " is not part of this model", tensor.file, kOfOneModel);
  // The copy widens F16 and BF16, which is exact.
  for (const auto& spec : model.parameters().specs())
    model.parameters().flat().narrow(0, spec.offset, spec.size()).copy_(stored.at(spec.name).tensor.reshape({-1}));
  return {};
}

}  // namespace

Status load_weights(T5& model, const std::filesystem::path& file) {
  return read_weights(model, {file, {{file, {}}}}, MissingHead::kError);
}

Result<std::unique_ptr<T5>> load_model(const std::filesystem::path& folder, at::Device device, Precision precision) {
  const auto config_file = folder / "config.json";
  PLUMBLINE_ASSIGN(const Json json, read_json_file(config_file));
  PLUMBLINE_ASSIGN(const ModelConfig config, from_hf_config(json, config_file.string()));
  PLUMBLINE_ASSIGN(const WeightFiles weights, weight_files(folder));
  // A head without scaling is an untied one here; one that is truly tied starts as a copy.
  const bool may_be_shared = !config.tie_word_embeddings && head_may_be_shared(json);
  std::unique_ptr<T5> model;
  try {
    model = std::make_unique<T5>(config, device, precision);
  } catch (const std::exception&) {  // c10's out-of-memory error
    return environment_error("no memory for a model of this size", config_file.string());
  }
  PLUMBLINE_TRY(read_weights(*model, weights, may_be_shared ? MissingHead::kSharedEmbedding : MissingHead::kError));
  return model;
}

}  // namespace plumbline
