// A weight packed for products of generation (cpu_products.hpp), where this processor has such products. Immutable; any
// thread. Rows and panels are split over threads so that the number of threads moves no bit.
//
// Axes: N rows, I inputs, O outputs.
#pragma once
#include "worker/torch_pch.hpp"

namespace plumbline {

class PackedWeight {
 public:
  /// Nothing is packed unless weight_OI is fp32 and on a CPU that has these products: then defined() is false.
  explicit PackedWeight(const at::Tensor& weight_OI);
  PackedWeight() = default;
  [[nodiscard]] bool defined() const { return panels_.defined(); }
  /// residual_NO (undefined: 0) + x_NI W^T.
  [[nodiscard]] at::Tensor multiply(const at::Tensor& x_NI, const at::Tensor& residual_NO) const;

 private:
  at::Tensor panels_;
  std::int64_t outputs_ = 0;
};

}  // namespace plumbline
