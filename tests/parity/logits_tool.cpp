// The C++ side of check_hf.py.
//   parity_logits make gated|relu FOLDER     a checkpoint of a random model, as a worker writes it
//   parity_logits logits FOLDER OUT          OUT (safetensors): source, input, and the checkpoint's logits
//   parity_logits tokens TEXT OUT            OUT (safetensors): the ids of TEXT
#include <cstdio>
#include <string>

#include "worker/checkpoint/checkpoint.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {
namespace {

Status make(const std::string& kind, const std::filesystem::path& folder) {
  ModelConfig config;
  config.d_model = 48, config.d_kv = 12, config.d_ff = 80, config.num_layers = 2;
  config.num_decoder_layers = 3;
  config.feed_forward_proj = kind == "relu" ? "relu" : "gated-gelu";
  config.tie_word_embeddings = kind == "relu";
  T5 model(config, at::kCPU);
  model.initialize(11);
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

Status write_logits(const std::filesystem::path& folder, const std::filesystem::path& out) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_ASSIGN(const auto model, load_model(folder, at::kCPU));
  const std::int64_t vocab = model->config().vocab_size;
  at::Tensor source = at::remainder(at::arange(0, 39, at::kLong) * 37, vocab - 3).view({3, 13}) + 3;
  source[1].narrow(0, 8, 5).fill_(0);
  source[2].narrow(0, 2, 11).fill_(0);
  at::Tensor input = at::remainder(at::arange(0, 21, at::kLong) * 53, vocab - 3).view({3, 7}) + 3;
  input.select(1, 0).fill_(0);
  const at::Tensor mask = source.ne(0);
  const at::Tensor logits = model->logits(model->decode(input, model->encode(source, mask), mask));
  return write_safetensors(out, {{"source", source}, {"input", input}, {"logits", logits}});
}

int run(int argc, char** argv) {
  const std::string verb = argc == 4 ? argv[1] : "";
  if (verb != "make" && verb != "logits" && verb != "tokens") {
    std::fputs("usage: parity_logits make gated|relu FOLDER | logits FOLDER OUT | tokens TEXT OUT\n", stderr);
    return 2;
  }
  at::set_num_threads(1);
  const Status status = verb == "make"     ? make(argv[2], argv[3])
                        : verb == "logits" ? write_logits(argv[2], argv[3])
                                           : write_tokens(argv[2], argv[3]);
  if (status) return 0;
  std::fprintf(stderr, "%s\n", to_string(status.error()).c_str());
  return static_cast<int>(status.error().code);
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) { return plumbline::run(argc, argv); }
