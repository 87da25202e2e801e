// Low-rank adapters (LoRA; Hu et al., "LoRA: Low-rank adaptation of large language models", 2021): beside a projection
// with the frozen weight W [out,in] stand A [rank,in] and B [out,rank],
//   y = x W^T + alpha/rank (dropout(x) A^T) B^T   (section 4.1)
// and only A and B are trained: a second flat buffer, which is reduced, clipped, stepped and saved in W's place. Names
// and files are peft's. One owner; used from the training thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "worker/model/parameters.hpp"
#include "worker/model/projection.hpp"

namespace plumbline {

class Adapter {
 public:
  /// One pair of matrices beside each weight of `model` whose projection is a target. A and B are zero.
  Adapter(const LoraConfig& config, const Parameters& model);
  /// As peft: B zero; A uniform within in^-0.5, which is Kaiming's initialisation with a = sqrt(5).
  void initialize(std::uint64_t seed);

  [[nodiscard]] const LoraConfig& config() const { return config_; }
  [[nodiscard]] Parameters& parameters() { return parameters_; }
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

  [[nodiscard]] bool is_beside(const std::string& weight) const;
  /// A and B beside the model's parameter of this name.
  [[nodiscard]] LowRank beside(const std::string& weight) const;
  /// W + alpha/rank B A: the weight with which the model computes the same without its adapter.
  [[nodiscard]] at::Tensor merged(const std::string& weight, const at::Tensor& w) const;

 private:
  LoraConfig config_;
  Parameters parameters_;
};

/// adapter_config.json and adapter_model.safetensors in `folder`, which is made.
Status save_adapter(const Adapter& adapter, const std::filesystem::path& folder);
/// Reads such a folder, of peft or of Plumbline, into `adapter`: a usage error when its rank, alpha or targets are
/// others, a data error that names the tensor when one is missing, unknown, or of another shape. F16 and BF16 are
/// widened.
Status load_adapter(Adapter& adapter, const std::filesystem::path& folder);

}  // namespace plumbline
