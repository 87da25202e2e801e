#include "worker/model/cpu_products.hpp"

#include <string_view>

namespace plumbline {

#ifdef PLUMBLINE_X86_KERNELS
extern const CpuProducts kCpuProductsAvx2, kCpuProductsAvx512;
#endif

const CpuProducts* cpu_products([[maybe_unused]] const char* capability) {
#ifdef PLUMBLINE_X86_KERNELS
  if (std::string_view(capability) == "AVX512") return &kCpuProductsAvx512;
  if (std::string_view(capability) == "AVX2") return &kCpuProductsAvx2;
#endif
  return nullptr;
}

}  // namespace plumbline
