// Moves bytes between this rank and the others of a mesh, all transfers of one collective call at once. Private to this
// room.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/core/result.hpp"
#include "worker/collective/interrupt.hpp"
#include "worker/collective/mesh_link.hpp"

namespace plumbline {

struct Piece {
  const char* data = nullptr;
  std::int64_t bytes = 0;
};
struct MutablePiece {
  char* data = nullptr;
  std::int64_t bytes = 0;
};

/// When a rank cannot be reached, and who wants to know (MeshPlace).
struct Reach {
  std::chrono::milliseconds silence{0};
  std::function<void(int rank)> unreached;
};

class TcpTransfers {
 public:
  /// `links` by rank; the own rank's is none.
  TcpTransfers(std::vector<MeshLink> links, int rank, const Interrupt& interrupt, Reach reach)
      : links_(std::move(links)), rank_(rank), interrupt_(interrupt), reach_(std::move(reach)) {}

  /// Sends sends[p] to rank p and receives receives[p] from it, for every other rank. A peer's end of file, its host's
  /// silence, an interrupt, or a transfer that is not the one expected is a run error and ends the mesh.
  Status exchange(const std::vector<Piece>& sends, const std::vector<MutablePiece>& receives);
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return static_cast<int>(links_.size()); }

 private:
  /// Closes all links, so that the others notice too.
  Error give_up(const std::string& why);
  /// Of those that are waited for, the first that cannot be reached; all such are told of.
  std::optional<int> silent_one(const std::vector<int>& waited_for);

  std::vector<MeshLink> links_;
  int rank_;
  const Interrupt& interrupt_;
  Reach reach_;
  std::chrono::steady_clock::time_point looked_at_;  ///< the links' silence
  std::uint64_t exchanges_ = 0;
  bool broken_ = false;
};

}  // namespace plumbline
