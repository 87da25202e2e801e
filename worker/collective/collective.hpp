// The one narrow interface between training and MPI, NCCL or threads. A collective moves bytes; it never adds: sums are
// made in a fixed order by gradient/tree_reduce, so no library decides the order of an addition.
//
// All ranks call the same functions in the same order. Calls block. An error is the end of this group. What the caller
// held before stays good: in a static group it exits, and the coordinator starts the group again from the newest
// checkpoint; in an elastic one it keeps its state and waits for the next group.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

class Collective {
 public:
  virtual ~Collective() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// fp32 or fp64, contiguous, on the backend's device. Rank r sends send[send_offsets[p] … +send_counts[p]) to rank p
  /// and receives into recv[recv_offsets[p] …]; counts in elements; own part is copied.
  virtual Status all_to_all(const at::Tensor& send, const std::vector<std::int64_t>& send_counts,
                            const std::vector<std::int64_t>& send_offsets, at::Tensor& recv,
                            const std::vector<std::int64_t>& recv_counts,
                            const std::vector<std::int64_t>& recv_offsets) = 0;
  /// Rank p's elements [offsets[p], offsets[p]+counts[p]) of `buffer` reach every rank, in place.
  virtual Status all_gather(at::Tensor& buffer, const std::vector<std::int64_t>& counts,
                            const std::vector<std::int64_t>& offsets) = 0;
  virtual Status broadcast(at::Tensor& buffer, int root) = 0;
  /// Byte strings of any length from every rank, by rank, on the host.
  virtual Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) = 0;
  virtual Status barrier() = 0;
  [[nodiscard]] virtual std::string name() const = 0;  ///< "self", "mpi", "tcp", "nccl", "threads"
  /// A call failed because another rank is gone or the group was interrupted, not for anything that a rank did wrong.
  [[nodiscard]] virtual bool broken() const { return false; }
};

/// A group of one.
std::unique_ptr<Collective> make_self_collective();
/// MPI_COMM_WORLD; MPI must be initialised and outlive it.
std::unique_ptr<Collective> make_mpi_collective();
/// `size` collectives that talk through memory, one for each thread of a test.
std::vector<std::unique_ptr<Collective>> make_thread_collectives(int size);

}  // namespace plumbline
