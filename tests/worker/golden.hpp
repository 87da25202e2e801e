// What Hugging Face Transformers computed for tests/parity/goldens (see make_goldens.py there), for the tests of the
// rooms that must agree with it.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "common/core/json.hpp"
#include "worker/model/safetensors.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

struct Golden {
  std::filesystem::path folder;
  std::unique_ptr<T5> model;
  std::map<std::string, at::Tensor> tensors;
  Json numbers;

  explicit Golden(const std::string& name)
      : folder(std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests/parity/goldens" / name) {
    at::set_num_threads(1);
    model = load_model(folder, at::kCPU).value();
    tensors = read_safetensors(folder / "golden.safetensors").value();
    numbers = read_json_file(folder / "golden.json").value();
  }
  [[nodiscard]] const at::Tensor& operator[](const std::string& key) const { return tensors.at(key); }
  [[nodiscard]] at::Tensor source_mask() const { return tensors.at("source").ne(0); }
};

/// Outputs that start with pad: what a decoder reads when it is to write `tokens`.
inline at::Tensor shift_right(const at::Tensor& tokens_BT) {
  return at::cat({at::zeros({tokens_BT.size(0), 1}, at::kLong), tokens_BT.narrow(1, 0, tokens_BT.size(1) - 1)}, 1);
}
inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}
/// A small model with every kind of layer.
inline ModelConfig small_config() {
  ModelConfig c;
  c.vocab_size = 64, c.d_model = 16, c.d_kv = 4, c.d_ff = 24, c.num_layers = 2, c.num_decoder_layers = 2,
  c.num_heads = 3;
  c.relative_attention_num_buckets = 8, c.relative_attention_max_distance = 12;
  return c;
}
/// A fresh folder under the build tree, removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) /
            (std::string("plumbline_") + test->test_suite_name() + "_" + test->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace plumbline
