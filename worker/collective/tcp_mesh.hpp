// The collective of an elastic group: every two ranks share one TCP connection, and a rank that dies ends its
// connections within milliseconds. Unlike MPI's group it can be given up and made anew, with other ranks, in the same
// processes: that is what lets survivors keep their weights. Only tcp_mesh.cpp and tcp_transfers.cpp touch its sockets.
//
// A mesh belongs to one generation. Whoever connects says the generation and the key that the coordinator gave to its
// members alone; anything else is closed. Between hosts that key is TLS's too. Every transfer begins with its number
// and size, so ranks that do not agree on what they do are found out instead of adding wrong bytes.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/core/file_descriptor.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "worker/collective/collective.hpp"
#include "worker/collective/interrupt.hpp"

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
};

/// Connects to the lower ranks and waits for the higher ones. `listener` and `interrupt` outlive the collective. A rank
/// that does not come, or an interrupt, is a run error. Once a transfer has failed every later call fails, and
/// broken() says so; the group is then left, which ends the other ranks' calls too.
Result<std::unique_ptr<Collective>> make_tcp_collective(const MeshPlace& place, const MeshListener& listener,
                                                        const Interrupt& interrupt);

}  // namespace plumbline
