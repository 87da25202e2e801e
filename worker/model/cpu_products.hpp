// Products of few rows with weights that stay, on the CPU: a step of generation is little else, and a library made for
// large matrices arranges the weights anew in each call. Here they are packed once. Plain pointers, no libtorch; one
// source (cpu_products.inc), compiled for each instruction set that has fused multiply-add.
//
// An element of a result is one sum over inputs in their order, whatever the number of rows, of threads, or the
// instruction set: a row's bits hang on the row and the weights alone. Any thread; nothing fails.
//
// Axes: N rows, I inputs, O outputs, C columns of a panel: panel p holds outputs [p C, (p + 1) C), of each input in
// turn.
#pragma once
#include <cstdint>

namespace plumbline {

struct CpuProducts {
  std::int64_t columns;  ///< C
  /// weight_OI -> panels [ceil(O / C), I, C], of which what is beyond O is zero.
  void (*pack)(const float* weight, std::int64_t O, std::int64_t I, float* panels);
  /// y_NO = residual_NO (null: 0) + x_NI W^T, the outputs of panels [begin, end) of it. `panels`: the first of all. y
  /// may be residual. 64-byte alignment of panels is asked for, of nothing else.
  void (*multiply)(const float* x, std::int64_t N, std::int64_t I, const float* panels, std::int64_t begin,
                   std::int64_t end, std::int64_t O, const float* residual, float* y);
};

/// `capability` as at::get_cpu_capability() has it; null where libtorch's products have to do.
const CpuProducts* cpu_products(const char* capability);

}  // namespace plumbline
