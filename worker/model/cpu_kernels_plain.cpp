// The kernels for any processor that the compiler's default serves.
#define PLUMBLINE_KERNELS kCpuKernelsPlain
#include "worker/model/cpu_kernels.inc"
