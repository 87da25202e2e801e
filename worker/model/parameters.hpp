// All parameters of a model in one flat fp32 buffer, and their gradients in another: the unit that is reduced, clipped,
// stepped and hashed. Products may be made in bf16: then a copy of the buffer in bf16 is kept beside it, made anew when
// the weights were touched. Each tensor starts on a 64-byte boundary (gaps are zero), in the fixed order of `specs`.
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
  /// Offsets are filled in; values are zero. `compute`: the type of products, fp32 or bf16.
  Parameters(std::vector<ParameterSpec> specs, at::Device device, at::ScalarType compute = at::kFloat);
  Parameters(const Parameters&) = delete;  // A copy would share the buffer.
  Parameters& operator=(const Parameters&) = delete;
  Parameters(Parameters&&) = default;
  Parameters& operator=(Parameters&&) = default;
  [[nodiscard]] const std::vector<ParameterSpec>& specs() const { return specs_; }
  [[nodiscard]] std::int64_t flat_size() const { return flat_size_; }
  /// Leaf views into the flat buffer, requires_grad; `.grad` is a view into the gradient buffer after bind_gradient.
  [[nodiscard]] const at::Tensor& get(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const { return index_.contains(name); }
  /// The same as the products use it: get(name) itself, or its bf16 copy.
  [[nodiscard]] const at::Tensor& compute(const std::string& name) const;
  [[nodiscard]] at::ScalarType compute_type() const { return compute_type_; }
  /// Call before products are made: brings the bf16 copy up to date when flat() was handed out for writing since.
  void refresh() const;
  /// For writing; hold no reference across a refresh.
  [[nodiscard]] at::Tensor& flat() {
    stale_ = true;
    ++version_;
    return flat_;
  }
  /// Another number after flat() was handed out for writing.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] const at::Tensor& flat() const { return flat_; }
  [[nodiscard]] std::string sha256() const;  ///< of the flat buffer, gaps included
  /// From now on no gradient of these parameters is computed.
  void freeze();
  /// Make every parameter's .grad a view into `flat_gradient` ([flat_size], fp32): backward accumulates there.
  void bind_gradient(const at::Tensor& flat_gradient);
  [[nodiscard]] at::Tensor new_flat() const;  ///< zeroed, [flat_size], 64-byte aligned

 private:
  std::vector<ParameterSpec> specs_;
  std::size_t index_of(const std::string& name) const;

  std::vector<at::Tensor> views_, compute_views_;
  std::unordered_map<std::string, std::size_t> index_;
  at::Tensor flat_, compute_flat_;  ///< the second: bf16, or undefined
  at::ScalarType compute_type_;
  mutable bool stale_ = true;
  std::uint64_t version_ = 0;
  std::int64_t flat_size_ = 0;
};

}  // namespace plumbline
