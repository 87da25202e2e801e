#include "worker/state_copy.hpp"

#include <xxhash.h>

#include <array>
#include <memory>

#include "common/core/check.hpp"
#include "common/core/files.hpp"

namespace plumbline {

namespace {

std::vector<at::Tensor> tensors_of(const at::Tensor& weights, const Optimizer& optimizer) {
  std::vector<at::Tensor> tensors{weights};
  for (const OptimizerPart& part : optimizer.state())
    for (const NamedTensor& named : part.tensors) tensors.push_back(named.tensor);
  return tensors;
}

}  // namespace

std::string state_digest(const Parameters& trained, const Optimizer& optimizer) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  PLUMBLINE_CHECK(state != nullptr, "out of memory");
  XXH3_128bits_reset(state.get());
  for (const at::Tensor& tensor : tensors_of(trained.flat(), optimizer)) {
    const at::Tensor host = tensor.to(at::kCPU).contiguous();
    XXH3_128bits_update(state.get(), host.const_data_ptr(), host.nbytes());
  }
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(state.get()));
  return to_hex({reinterpret_cast<const char*>(bytes.digest), sizeof bytes.digest});
}

Status copy_state(Collective& collective, int source, Parameters& trained, Optimizer& optimizer) {
  for (at::Tensor tensor : tensors_of(trained.flat(), optimizer)) PLUMBLINE_TRY(collective.broadcast(tensor, source));
  return {};
}

}  // namespace plumbline
