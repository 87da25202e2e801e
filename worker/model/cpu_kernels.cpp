#include "worker/model/cpu_kernels.hpp"

#include <string_view>

namespace plumbline {

extern const CpuKernels kCpuKernelsPlain;
#ifdef PLUMBLINE_X86_KERNELS
extern const CpuKernels kCpuKernelsAvx2, kCpuKernelsAvx512;
#endif

const CpuKernels& cpu_kernels([[maybe_unused]] const char* capability) {
#ifdef PLUMBLINE_X86_KERNELS
  if (std::string_view(capability) == "AVX512") return kCpuKernelsAvx512;
  if (std::string_view(capability) == "AVX2") return kCpuKernelsAvx2;
#endif
  return kCpuKernelsPlain;
}

}  // namespace plumbline
