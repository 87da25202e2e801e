// The C++ side of check_hf.py and check_peft.py.
//   parity_logits make NAME[+tied] FOLDER    a checkpoint of a random model with that feed_forward_proj, as a worker
//                                            writes it
//   parity_logits logits FOLDER OUT          OUT (safetensors): source, input, the model's logits, and the gradients of
//                                            their mean square
//   parity_logits generate FOLDER OUT        OUT (safetensors): source, and what the checkpoint writes for it: greedy,
//                                            with beams, and the beams' scores
//   parity_logits resave FOLDER NEW          NEW: the model of FOLDER as Plumbline writes it
//   parity_logits adapt FOLDER NEW           NEW: a checkpoint of FOLDER's model with a random LoRA adapter
//   parity_logits adapted FOLDER OUT         as logits, of FOLDER's model with the adapter in FOLDER/adapter
//   parity_logits tokens TEXT OUT            OUT (safetensors): the ids of TEXT
//   parity_logits spiece MODEL NEW           NEW: what Transformers needs for the SentencePiece model
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <system_error>

#include "common/config/adapter_config.hpp"
#include "worker/checkpoint/checkpoint.hpp"
#include "worker/generate/beam.hpp"
#include "worker/generate/generate.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {
namespace {

constexpr int kNewTokens = 24;

Status make(const std::string& kind, const std::filesystem::path& folder) {
  const at::NoGradGuard no_grad;
  ModelConfig config;
  config.d_model = 48, config.d_kv = 12, config.d_ff = 80, config.num_layers = 2;
  config.num_decoder_layers = 3;
  config.feed_forward_proj = kind.substr(0, kind.find('+'));
  config.tie_word_embeddings = kind.ends_with("+tied");
  T5 model(config, at::kCPU);
  model.initialize(11);
  // Logits of the EOS that vary more than the others': outputs end at various places, some of them never.
  if (config.tie_word_embeddings)
    model.parameters().get("shared.weight")[kEosToken].mul_(25);
  else
    model.parameters().get("lm_head.weight")[kEosToken].mul_(2.5);
  const auto optimizer = make_optimizer({}, model.parameters());
  PLUMBLINE_ASSIGN(const auto tokenizer, make_tokenizer("byte"));
  PLUMBLINE_TRY(write_checkpoint_parts(folder, /*rank=*/0, /*world=*/1, {model, *optimizer, *tokenizer}, {}));
  return {};
}

Status write_tokens(const std::string& text, const std::filesystem::path& out) {
  PLUMBLINE_ASSIGN(const auto tokenizer, make_tokenizer("byte"));
  const auto ids = tokenizer->encode(text);
  return write_safetensors(out, {{"ids", at::tensor(ids, at::kInt).to(at::kLong)}});
}

/// Three rows of which two are padded.
at::Tensor padded_source(std::int64_t vocab) {
  at::Tensor source = at::remainder(at::arange(0, 39, at::kLong) * 37, vocab - 3).view({3, 13}) + 3;
  source[1].narrow(0, 8, 5).fill_(0);
  source[2].narrow(0, 2, 11).fill_(0);
  return source;
}

Status make_folder(const std::filesystem::path& folder) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec) return run_error("the folder cannot be made: " + ec.message(), folder.string());
  return {};
}

Status resave(const std::filesystem::path& folder, const std::filesystem::path& out) {
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  PLUMBLINE_TRY(make_folder(out));
  return save_model(*model, out);
}

Status write_tokenizer(const std::filesystem::path& file, const std::filesystem::path& out) {
  PLUMBLINE_ASSIGN(const auto tokenizer, load_sentencepiece(file, 100));
  PLUMBLINE_TRY(make_folder(out));
  for (const auto& [name, content] : tokenizer->hf_files()) PLUMBLINE_TRY(write_file_atomically(out / name, content));
  return {};
}

/// Logits, and the gradients of their mean square by all that is trained.
Status write_logits(T5& model, const std::filesystem::path& out) {
  const std::int64_t vocab = model.config().vocab_size;
  const at::Tensor source = padded_source(vocab);
  at::Tensor input = at::remainder(at::arange(0, 21, at::kLong) * 53, vocab - 3).view({3, 7}) + 3;
  input.select(1, 0).fill_(0);
  const at::Tensor mask = source.ne(0);
  const at::Tensor gradient = model.trained().new_flat();
  model.trained().bind_gradient(gradient);
  const at::Tensor states = model.decode(input, model.encode(source, mask), mask);
  const at::Tensor logits = model.logits(states.reshape({-1, states.size(2)})).view({3, 7, vocab});
  logits.square().mean().backward();
  std::vector<NamedTensor> tensors{{"source", source}, {"input", input}, {"logits", logits}};
  for (const auto& spec : model.trained().specs())
    tensors.push_back({"gradient." + spec.name, gradient.narrow(0, spec.offset, spec.size()).view(spec.shape)});
  return write_safetensors(out, tensors);
}

Status write_logits_of(const std::filesystem::path& folder, const std::filesystem::path& out) {
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  return write_logits(*model, out);
}

Status adapt(const std::filesystem::path& folder, const std::filesystem::path& out) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  LoraConfig lora;
  lora.rank = 3, lora.alpha = 7, lora.targets = {"k", "v", "o", "wo"};
  model->add_adapter(lora);
  model->adapter()->initialize(5);
  // B is no longer zero, so that the adapter does something.
  for (const auto& spec : model->trained().specs())
    if (spec.name.find("lora_B") != std::string::npos)
      model->trained().flat().narrow(0, spec.offset, spec.size()).copy_(at::arange(spec.size()).cos().mul(0.2));
  const auto optimizer = make_optimizer({}, model->trained());
  PLUMBLINE_ASSIGN(const auto tokenizer, make_tokenizer("byte"));
  PLUMBLINE_TRY(write_checkpoint_parts(out, /*rank=*/0, /*world=*/1, {*model, *optimizer, *tokenizer}, {}));
  return {};
}

Status write_adapted_logits(const std::filesystem::path& folder, const std::filesystem::path& out) {
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  const auto file = folder / kAdapterFolder / kAdapterConfigFile;
  PLUMBLINE_ASSIGN(const Json json, read_json_file(file));
  PLUMBLINE_ASSIGN(const LoraConfig lora, from_peft_config(json, file.string()));
  PLUMBLINE_TRY(check_targets(lora, model->config()));
  model->add_adapter(lora);
  PLUMBLINE_TRY(load_adapter(*model->adapter(), folder / kAdapterFolder));
  return write_logits(*model, out);
}

/// tokens_BT, 0 behind the end.
template <class Output>
at::Tensor padded_tokens(const std::vector<Output>& outputs) {
  at::Tensor tokens = at::zeros({static_cast<std::int64_t>(outputs.size()), kNewTokens}, at::kLong);
  for (std::size_t row = 0; row < outputs.size(); ++row)
    for (std::size_t t = 0; t < outputs[row].tokens.size(); ++t)
      tokens[static_cast<std::int64_t>(row)][static_cast<std::int64_t>(t)] = outputs[row].tokens[t];
  return tokens;
}

Status write_outputs(const std::filesystem::path& folder, const std::filesystem::path& out) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  const at::Tensor source = padded_source(model->config().vocab_size), mask = source.ne(0);
  std::vector<NamedTensor> tensors{{"source", source}};
  tensors.push_back({"greedy", padded_tokens(generate_greedy(*model, source, mask, kNewTokens))});
  for (const int beams : {2, 4, 8}) {
    BeamSearch search;
    search.beams = beams;
    search.max_new_tokens = kNewTokens;
    const auto found = generate_beams(*model, source, mask, search);
    std::vector<float> scores;
    for (const Hypothesis& output : found) scores.push_back(output.score);
    tensors.push_back({"beams_" + std::to_string(beams), padded_tokens(found)});
    tensors.push_back({"scores_" + std::to_string(beams), at::tensor(scores)});
  }
  return write_safetensors(out, tensors);
}

int run(int argc, char** argv) {
  const std::map<std::string, std::function<Status()>> verbs{
      {"make", [&] { return make(argv[2], argv[3]); }},
      {"logits", [&] { return write_logits_of(argv[2], argv[3]); }},
      {"generate", [&] { return write_outputs(argv[2], argv[3]); }},
      {"resave", [&] { return resave(argv[2], argv[3]); }},
      {"adapt", [&] { return adapt(argv[2], argv[3]); }},
      {"adapted", [&] { return write_adapted_logits(argv[2], argv[3]); }},
      {"tokens", [&] { return write_tokens(argv[2], argv[3]); }},
      {"spiece", [&] { return write_tokenizer(argv[2], argv[3]); }}};
  const auto verb = verbs.find(argc == 4 ? argv[1] : "");
  if (verb == verbs.end()) {
    std::fputs(
        "usage: parity_logits make|logits|generate|resave|adapt|adapted|tokens|spiece FROM TO (logits_tool.cpp says "
        "more)\n",
        stderr);
    return 2;
  }
  at::set_num_threads(1);
  const Status status = verb->second();
  if (status) return 0;
  std::fprintf(stderr, "%s\n", to_string(status.error()).c_str());
  return static_cast<int>(status.error().code);
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) { return plumbline::run(argc, argv); }
