// The kernels for processors with AVX-512 (CMakeLists.txt gives the options).
#define PLUMBLINE_KERNELS kCpuKernelsAvx512
#include "worker/model/cpu_kernels.inc"
