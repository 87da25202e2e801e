// The connections of an elastic group, one for each two ranks, and bytes moved over them: what the collective of
// tensors (tcp_mesh.hpp) stands on, without libtorch, so that the sanitizers' builds have it too.
//
// A mesh belongs to one generation. Whoever connects says the generation and the key that the coordinator gave to its
// members alone; anything else is closed. Between hosts that key is TLS's too. Every transfer begins with its number
// and size, so ranks that do not agree on what they do are found out instead of adding wrong bytes. One thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/core/file_descriptor.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "worker/collective/interrupt.hpp"
#include "worker/collective/tcp_transfers.hpp"

namespace plumbline {

/// Where the other ranks reach this process, in every generation.
class MeshListener {
 public:
  /// Listens on a free port of `host`, an address of this machine. An environment error names it where that fails.
  static Result<MeshListener> open(const std::string& host);
  [[nodiscard]] const std::string& address() const { return address_; }  ///< "host:port"
  [[nodiscard]] int descriptor() const { return socket_.get(); }

 private:
  MeshListener(FileDescriptor socket, std::string address) : socket_(std::move(socket)), address_(std::move(address)) {}
  FileDescriptor socket_;
  std::string address_;
};

struct MeshPlace {
  int rank = 0;
  std::vector<std::string> addresses;  ///< "host:port", by rank
  Generation generation;
  std::string key;                            ///< 64 hex digits, the same for all ranks and for nobody else
  bool encrypted = false;                     ///< TLS under that key; all ranks alike
  std::chrono::milliseconds timeout{10'000};  ///< for the mesh to come together
  /// A rank that does not answer a call for so long, or whose host acknowledges nothing for so long in a transfer,
  /// cannot be reached, and the mesh breaks. At least a second; 0: no limit.
  std::chrono::milliseconds silence{0};
  /// Is told each such rank, on the thread that uses the mesh.
  std::function<void(int rank)> unreached;
};

/// All ranks call the same functions in the same order. Counts and offsets are by rank, in elements of `width` bytes.
class Mesh {
 public:
  using Counts = std::vector<std::int64_t>;

  /// Connects to the lower ranks and waits for the higher ones. `listener` and `interrupt` outlive the mesh. A rank
  /// that does not come, or an interrupt, is a run error. Once a transfer has failed every later call fails, and
  /// broken() says so; the group is then left, which ends the other ranks' calls too.
  static Result<Mesh> gather(const MeshPlace& place, const MeshListener& listener, const Interrupt& interrupt);

  [[nodiscard]] int rank() const { return transfers_.rank(); }
  [[nodiscard]] int size() const { return transfers_.size(); }
  [[nodiscard]] bool broken() const { return transfers_.broken(); }
  /// As TcpTransfers::exchange.
  Status exchange(const std::vector<Piece>& sends, const std::vector<MutablePiece>& receives) {
    return transfers_.exchange(sends, receives);
  }
  /// Rank p's elements [offsets[p], offsets[p] + counts[p]) reach every rank, in place.
  Status all_gather(char* data, std::int64_t width, const Counts& counts, const Counts& offsets);
  Status broadcast(MutablePiece buffer, int root);
  /// Byte strings of any length from every rank, by rank.
  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine);
  Status barrier();

 private:
  explicit Mesh(TcpTransfers transfers) : transfers_(std::move(transfers)) {}
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(transfers_.size()); }
  [[nodiscard]] std::size_t me() const { return static_cast<std::size_t>(transfers_.rank()); }

  TcpTransfers transfers_;
};

}  // namespace plumbline
