// Adafactor (Shazeer & Stern, "Adafactor: Adaptive learning rates with sublinear memory cost", ICML 2018): the second
// moments of a matrix are kept as the means of its rows and of its columns, n + m numbers in place of n m, and an
// update is clipped by its own root mean square.
#pragma once
#include <vector>

#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

/// As Hugging Face's Adafactor(lr=rate, relative_step=False, warmup_init=False, scale_parameter=…, beta1=…) with its
/// other settings as they are by default, which are the paper's.
class Adafactor : public Optimizer {
 public:
  Adafactor(const OptimizerConfig& config, Parameters& parameters);
  void step(const at::Tensor& flat_gradient, double scale, std::int64_t step, double rate) override;
  [[nodiscard]] std::vector<OptimizerPart> state() const override;

 private:
  /// Of one parameter: row and column of a matrix [n,m], else exp_avg_sq; exp_avg when beta1 is above 0.
  struct Moments {
    at::Tensor row, column;  ///< [n], [m]
    at::Tensor exp_avg_sq, exp_avg;
  };
  /// [of the parameter's shape] a direction of root mean square at most 1, written into work_.
  at::Tensor direction(Moments& moments, const at::Tensor& gradient, double scale, std::int64_t step);

  OptimizerConfig config_;
  double beta1_;
  Parameters* parameters_;
  std::vector<Moments> moments_;  ///< by parameter
  at::Tensor work_;               ///< as large as the largest parameter
};

}  // namespace plumbline
