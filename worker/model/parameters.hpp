// All parameters of a model in one flat fp32 buffer, and their gradients in another: the unit that is reduced, clipped,
// stepped and hashed. Each tensor starts on a 64-byte boundary (gaps are zero), in the fixed order of `specs`.
// One owner; used from the training thread. A name that is not there is a bug (PLUMBLINE_CHECK), not an error.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/result.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

struct ParameterSpec {
  std::string name;  ///< HF's name: "encoder.block.0.layer.0.SelfAttention.q.weight"
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;  ///< in elements, multiple of 16

  [[nodiscard]] std::int64_t size() const;  ///< number of elements
};

class Parameters {
 public:
  Parameters(std::vector<ParameterSpec> specs, at::Device device);  ///< offsets are filled in; values are zero
  Parameters(const Parameters&) = delete;                           // A copy would share the buffer.
  Parameters& operator=(const Parameters&) = delete;
  Parameters(Parameters&&) = default;
  Parameters& operator=(Parameters&&) = default;
  [[nodiscard]] const std::vector<ParameterSpec>& specs() const { return specs_; }
  [[nodiscard]] std::int64_t flat_size() const { return flat_size_; }
  /// Leaf views into the flat buffer, requires_grad; `.grad` is a view into the gradient buffer after bind_gradient.
  [[nodiscard]] const at::Tensor& get(const std::string& name) const;
  [[nodiscard]] at::Tensor& flat() { return flat_; }
  [[nodiscard]] const at::Tensor& flat() const { return flat_; }
  /// Make every parameter's .grad a view into `flat_gradient` ([flat_size], fp32): backward accumulates there.
  void bind_gradient(const at::Tensor& flat_gradient);
  [[nodiscard]] at::Tensor new_flat() const;  ///< zeroed, [flat_size], 64-byte aligned

 private:
  std::vector<ParameterSpec> specs_;
  std::vector<at::Tensor> views_;
  std::unordered_map<std::string, std::size_t> index_;
  at::Tensor flat_;
  std::int64_t flat_size_ = 0;
};

}  // namespace plumbline
