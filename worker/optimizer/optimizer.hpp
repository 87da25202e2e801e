// What the trainer steps with: AdamW or Adafactor, clipping by global norm, learning-rate schedules. An optimizer keeps
// its state in tensors that a checkpoint saves and loads as they are. Every rank computes the same step from the same
// summed gradient: equal bits in, equal bits out, for one numeric fingerprint (a reduction over many elements depends
// on the number of threads, which the fingerprint fixes, and on nothing else). Nothing fails; a buffer of another size
// is a bug. One thread.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "worker/model/parameters.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {

/// State of one kind for all parameters that have it: a file of a checkpoint.
struct OptimizerPart {
  std::string name;                  ///< "exp_avg_sq"
  std::vector<NamedTensor> tensors;  ///< under the parameters' names and in their order; fp32
};

class Optimizer {
 public:
  Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer() = default;
  /// One step at `step` (from 1), the gradient scaled by `scale` (clipping).
  virtual void step(const at::Tensor& flat_gradient, double scale, std::int64_t step, double rate) = 0;
  /// All that a resume needs beside the step's number. The tensors are the state itself: what is copied into them is
  /// loaded. Which parts there are depends on the configuration and the model alone; none is empty.
  [[nodiscard]] virtual std::vector<OptimizerPart> state() const = 0;
};

/// The optimizer that `config` names, over `parameters`, which outlive it.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, Parameters& parameters);

/// Does weight decay touch the parameter? Norm weights and relative biases it does not.
bool decays(const std::string& parameter);

/// Learning rate for the step that leads from step-1 to `step` (step counts from 1), of `total` steps.
double learning_rate(const OptimizerConfig& config, std::int64_t step, std::int64_t total);

/// L2 norm of the flat gradient, summed over fixed blocks of 65,536 elements and then along a fixed tree: the same bits
/// however many workers there are. fp64.
double gradient_norm(const at::Tensor& flat_gradient);

}  // namespace plumbline
