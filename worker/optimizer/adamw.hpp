// AdamW (Loshchilov & Hutter 2019) over the flat buffers, fused.
#pragma once
#include <vector>

#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

class AdamW : public Optimizer {
 public:
  AdamW(const OptimizerConfig& config, Parameters& parameters);
  void step(const at::Tensor& flat_gradient, double scale, std::int64_t step, double rate) override;
  [[nodiscard]] std::vector<OptimizerPart> state() const override;

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
