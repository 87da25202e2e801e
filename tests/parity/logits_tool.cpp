// The C++ side of check_hf.py.
//   parity_logits make gated|relu FOLDER     a checkpoint of a random model, as a worker writes it
//   parity_logits logits FOLDER OUT          OUT (safetensors): source, input, and the checkpoint's logits
//   parity_logits generate FOLDER OUT        OUT (safetensors): source, and what the checkpoint writes for it: greedy,
//   with
//                                            beams, and the beams' scores
//   parity_logits tokens TEXT OUT            OUT (safetensors): the ids of TEXT
#include <cstdio>
#include <string>

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
  config.feed_forward_proj = kind == "relu" ? "relu" : "gated-gelu";
  config.tie_word_embeddings = kind == "relu";
  T5 model(config, at::kCPU);
  model.initialize(11);
  // Logits of the EOS that vary more than the others': outputs end at various places, some of them never.
  if (kind == "relu")
    model.parameters().get("shared.weight")[kEosToken].mul_(25);
  else
    model.parameters().get("lm_head.weight")[kEosToken].mul_(2.5);
  AdamW optimizer({}, model.parameters());
  PLUMBLINE_ASSIGN(const auto tokenizer, make_tokenizer("byte"));
  PLUMBLINE_TRY(begin_checkpoint(folder));
  PLUMBLINE_TRY(write_checkpoint_parts(folder, /*rank=*/0, /*world=*/1, model, optimizer, *tokenizer, {}));
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

Status write_logits(const std::filesystem::path& folder, const std::filesystem::path& out) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  const std::int64_t vocab = model->config().vocab_size;
  const at::Tensor source = padded_source(vocab);
  at::Tensor input = at::remainder(at::arange(0, 21, at::kLong) * 53, vocab - 3).view({3, 7}) + 3;
  input.select(1, 0).fill_(0);
  const at::Tensor mask = source.ne(0);
  const at::Tensor logits = model->logits(model->decode(input, model->encode(source, mask), mask));
  return write_safetensors(out, {{"source", source}, {"input", input}, {"logits", logits}});
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
  const std::string verb = argc == 4 ? argv[1] : "";
  if (verb != "make" && verb != "logits" && verb != "generate" && verb != "tokens") {
    std::fputs(
        "usage: parity_logits make gated|relu FOLDER | logits FOLDER OUT | generate FOLDER OUT | tokens TEXT OUT\n",
        stderr);
    return 2;
  }
  at::set_num_threads(1);
  const Status status = verb == "make"       ? make(argv[2], argv[3])
                        : verb == "logits"   ? write_logits(argv[2], argv[3])
                        : verb == "generate" ? write_outputs(argv[2], argv[3])
                                             : write_tokens(argv[2], argv[3]);
  if (status) return 0;
  std::fprintf(stderr, "%s\n", to_string(status.error()).c_str());
  return static_cast<int>(status.error().code);
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) { return plumbline::run(argc, argv); }
