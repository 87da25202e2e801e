// The kernels for processors with AVX2 (CMakeLists.txt gives the option).
#define PLUMBLINE_KERNELS kCpuKernelsAvx2
#include "worker/model/cpu_kernels.inc"
