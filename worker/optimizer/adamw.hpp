// AdamW (Loshchilov & Hutter 2019) over the flat buffers, clipping by global norm, learning-rate schedules.
// Every rank computes the same step from the same summed gradient: equal bits in, equal bits out. Nothing fails; a
// buffer of another size is a bug. One thread.
#pragma once
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/ids.hpp"
#include "worker/model/parameters.hpp"

namespace plumbline {
/// Learning rate for the step that leads from step-1 to `step` (step counts from 1), of `total` steps.
double learning_rate(const OptimizerConfig& config, std::int64_t step, std::int64_t total);

/// L2 norm of the flat gradient, summed over fixed blocks of 65,536 elements and then along a fixed tree: the same bits
/// however many workers there are. fp64.
double gradient_norm(const at::Tensor& flat_gradient);

class AdamW {
 public:
  AdamW(const OptimizerConfig& config, Parameters& parameters);
  /// One step at `step` (from 1), `gradient` scaled by `scale` (clipping). Decay does not touch norm weights or
  /// relative biases.
  void step(const at::Tensor& flat_gradient, double scale, std::int64_t step, double rate);
  at::Tensor& exp_avg() { return exp_avg_; }
  at::Tensor& exp_avg_sq() { return exp_avg_sq_; }

 private:
  /// Neighbouring parameters that share a decay, as one range of the flat buffers.
  struct Range {
    std::int64_t offset = 0, size = 0;
    bool decays = true;
  };

  OptimizerConfig config_;
  Parameters* parameters_;
  std::vector<Range> ranges_;
  at::Tensor exp_avg_, exp_avg_sq_;
};
}  // namespace plumbline
