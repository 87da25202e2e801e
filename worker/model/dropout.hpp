// Dropout whose masks can be made again: from a seed and a count of calls, not from a generator's state.
#pragma once
#include <cstdint>

#include "worker/torch_pch.hpp"

namespace plumbline::layers {

/// One inverted dropout (Srivastava et al. 2014): its mask can be applied again, to the gradient or when activations
/// are computed anew. A function of (stream, shape) alone, whatever the number of threads. On the CPU masks come from a
/// counter-based hash, 16 bits an element (so the rate is exact to 2^-17); elsewhere from a generator of the device.
class DropoutMask {
 public:
  DropoutMask() = default;  ///< the identity
  DropoutMask(double rate, std::uint64_t stream) : rate_(rate), stream_(stream) {}
  [[nodiscard]] bool active() const { return rate_ > 0; }
  /// x, contiguous, times the mask, in place.
  void apply_(at::Tensor& x) const;

 private:
  double rate_ = 0;
  std::uint64_t stream_ = 0;
};

/// The masks of one pass: the n-th is a function of (seed, n). Default-constructed or rate 0: identities.
class Dropout {
 public:
  Dropout() = default;
  Dropout(double rate, std::uint64_t seed) : rate_(rate), seed_(seed) {}
  DropoutMask next();

 private:
  double rate_ = 0;
  std::uint64_t seed_ = 0, calls_ = 0;
};

/// SplitMix64's finaliser (Steele, Lea & Flood 2014): streams of neighbouring keys have nothing in common.
std::uint64_t mix(std::uint64_t x);

}  // namespace plumbline::layers
