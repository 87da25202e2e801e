// The worker's side of `plumbline generate`: what a model writes for sources that come in windows on a stream
// (common/data/generation.hpp has the messages). A process of its own, without a coordinator's socket and without
// files.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <vector>

#include "common/core/result.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

/// Reads a task and windows from `in` until it ends, and writes answers to `out`, flushed one by one. An error, of the
/// task, the model or a window, is written to `out` too. Nothing else may be written to `out` meanwhile. On the CPU
/// `threads` batches are computed side by side; answers do not depend on it.
Status answer(std::istream& in, std::ostream& out, at::Device device, int threads);

/// Sources of like length together: `batch_rows` of them at most, and no more than fit a fixed number of padded tokens,
/// since the memory of attention grows with their square; one at least. Places in `lengths`, each once; the shortest
/// first, of equals in order.
std::vector<std::vector<std::size_t>> length_batches(const std::vector<std::size_t>& lengths, int batch_rows);

}  // namespace plumbline
