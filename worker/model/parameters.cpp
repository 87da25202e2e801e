#include "worker/model/parameters.hpp"

#include <span>
#include <utility>

#include "common/core/check.hpp"
#include "common/core/files.hpp"

namespace plumbline {

namespace {
constexpr std::int64_t kAlignElements = 16;  // 64 bytes of fp32

at::Tensor view_of(const at::Tensor& flat, const ParameterSpec& spec) {
  return flat.narrow(0, spec.offset, spec.size()).view(spec.shape).detach();
}
}  // namespace

std::int64_t ParameterSpec::size() const {
  std::int64_t n = 1;
  for (const auto d : shape) n *= d;
  return n;
}

Parameters::Parameters(std::vector<ParameterSpec> specs, at::Device device, at::ScalarType compute)
    : specs_(std::move(specs)), compute_type_(compute) {
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    auto& spec = specs_[i];
    spec.offset = flat_size_;
    flat_size_ += (spec.size() + kAlignElements - 1) / kAlignElements * kAlignElements;
    PLUMBLINE_CHECK(index_.emplace(spec.name, i).second, "two parameters have the name " + spec.name);
  }
  flat_ = at::zeros({flat_size_}, at::TensorOptions().dtype(at::kFloat).device(device));
  views_.reserve(specs_.size());
  for (const auto& spec : specs_) views_.push_back(view_of(flat_, spec).requires_grad_(true));
  if (compute == at::kFloat) return;
  compute_flat_ = at::zeros({flat_size_}, flat_.options().dtype(compute));
  for (const auto& spec : specs_) compute_views_.push_back(view_of(compute_flat_, spec));
}

std::size_t Parameters::index_of(const std::string& name) const {
  const auto found = index_.find(name);
  PLUMBLINE_CHECK(found != index_.end(), "the model has no parameter " + name);
  return found->second;
}

const at::Tensor& Parameters::get(const std::string& name) const { return views_[index_of(name)]; }

const at::Tensor& Parameters::compute(const std::string& name) const {
  return compute_flat_.defined() ? compute_views_[index_of(name)] : get(name);
}

void Parameters::refresh() const {
  if (!std::exchange(stale_, false) || !compute_flat_.defined()) return;
  const at::NoGradGuard no_grad;
  compute_flat_.copy_(flat_);
}

std::string Parameters::sha256() const {
  const at::Tensor flat = flat_.detach().to(at::kCPU).contiguous();
  return sha256_hex(std::span(static_cast<const std::byte*>(flat.const_data_ptr()), flat.nbytes()));
}

void Parameters::freeze() {
  for (at::Tensor& view : views_) view.requires_grad_(false);
}

void Parameters::bind_gradient(const at::Tensor& flat_gradient) {
  PLUMBLINE_CHECK(flat_gradient.dim() == 1 && flat_gradient.size(0) == flat_size_ && flat_gradient.is_contiguous() &&
                      flat_gradient.scalar_type() == at::kFloat,
                  "the gradient buffer does not fit the parameters");
  for (std::size_t i = 0; i < specs_.size(); ++i) views_[i].mutable_grad() = view_of(flat_gradient, specs_[i]);
}

at::Tensor Parameters::new_flat() const { return at::zeros_like(flat_); }

}  // namespace plumbline
