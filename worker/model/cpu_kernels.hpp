// The element-wise passes of a T5 block on the CPU, each as one loop over memory where the formula's operators would be
// three to eight. Plain pointers, no libtorch: the same source (cpu_kernels.inc) is compiled once for each instruction
// set, as libtorch does with its own kernels, and cpu_kernels() picks by libtorch's choice, so that the numeric
// fingerprint names what runs. Without fused multiply-add and with sums in a fixed order of sixteen lanes: every
// instruction set gives the same bits.
//
// Element types: fp32, or bf16 where a name says so. "rows" are independent of each other; the caller splits them over
// threads, and no sum crosses a split. Any thread; nothing fails.
#pragma once
#include <cstdint>

namespace plumbline {

/// A bf16 number as it lies in memory: the upper half of an fp32.
struct Bf16 {
  std::uint16_t bits;
};

/// Elements from one position, row or head of written keys to the next.
struct WrittenStrides {
  std::int64_t position, row, head;
};

template <class T>
struct CpuKernelsOf {
  /// y = x * inverse * weight, inverse = 1/sqrt(mean(x^2) + epsilon): x fp32 [rows,D] -> y [rows,D], inverse [rows].
  void (*rms_norm)(const float* x, const float* weight, float epsilon, std::int64_t rows, std::int64_t D, T* y,
                   float* inverse);
  /// dx = residual + d(rms_norm)/dx applied to dy; residual may be null (0). dx may be residual.
  void (*rms_norm_backward)(const T* dy, const float* x, const float* weight, const float* inverse,
                            const float* residual, std::int64_t rows, std::int64_t D, float* dx);
  /// dweight[d] += sum over rows of dy * x * inverse, for columns [begin, end).
  void (*rms_norm_weight)(const T* dy, const float* x, const float* inverse, std::int64_t rows, std::int64_t D,
                          std::int64_t begin, std::int64_t end, float* dweight);
  /// y = act(a) * b, b null: act(a). gelu is the tanh form.
  void (*gelu)(const T* a, const T* b, std::int64_t n, T* y);
  void (*silu)(const T* a, const T* b, std::int64_t n, T* y);
  void (*relu)(const T* a, const T* b, std::int64_t n, T* y);
  /// From dy: da = dy * b * act'(a), db = dy * act(a); b and db null: ungated. da may be a, db may be b.
  void (*gelu_backward)(const T* dy, const T* a, const T* b, std::int64_t n, T* da, T* db);
  void (*silu_backward)(const T* dy, const T* a, const T* b, std::int64_t n, T* da, T* db);
  void (*relu_backward)(const T* dy, const T* a, const T* b, std::int64_t n, T* da, T* db);
  /// In place: softmax of scores + bias (null: 0) + mask (null: 0), row by row, over S columns. bias and mask are fp32
  /// rows of S: query row r of a head adds bias[r*bias_stride] and mask[r*mask_stride].
  void (*softmax)(T* scores, const float* bias, std::int64_t bias_stride, const float* mask, std::int64_t rows,
                  std::int64_t S);
  /// In place on dp: ds = p * (dp - sum(dp * p)); what it is goes into dbias too (fp32 rows of S, added; null: not).
  void (*softmax_backward)(T* dp, const T* p, std::int64_t rows, std::int64_t S, float* dbias,
                           std::int64_t bias_stride);
  /// Attention of one query a row, for rows [begin, end), with keys and values that stay where they were written:
  /// those of position l, row r and head h begin at element l * strides.position + origin[l * origin_stride + r] *
  /// strides.row + h * strides.head. Scores get bias[h * bias_stride + l] (null: 0) and mask[origin[r] * L + l] (null:
  /// 0). q, out: [rows,H*K].
  void (*attend)(const T* q, const T* keys, const T* values, WrittenStrides strides, const std::int32_t* origin,
                 std::int64_t origin_stride, const float* bias, std::int64_t bias_stride, const float* mask,
                 std::int64_t begin, std::int64_t end, std::int64_t L, std::int64_t H, std::int64_t K, T* out);
  /// y = residual + x (fp32 + T); y may be residual.
  void (*add)(const float* residual, const T* x, std::int64_t n, float* y);
  /// In place: x *= mask of the stream, elements [begin, end): 0 with probability dropped / 65,536, else scale. begin
  /// is a multiple of 4.
  void (*dropout)(T* x, std::uint64_t stream, std::uint64_t dropped, float scale, std::int64_t begin, std::int64_t end);
};

struct CpuKernels {
  CpuKernelsOf<float> fp32;
  CpuKernelsOf<Bf16> bf16;
};

/// `capability` as at::get_cpu_capability() has it; an unknown one gets the plain build.
const CpuKernels& cpu_kernels(const char* capability);

}  // namespace plumbline
