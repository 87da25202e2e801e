#include "worker/collective/tcp_mesh.hpp"

#include <cstring>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

using Counts = std::vector<std::int64_t>;

class TcpCollective final : public Collective {
 public:
  explicit TcpCollective(Mesh mesh) : mesh_(std::move(mesh)) {}
  [[nodiscard]] int rank() const override { return mesh_.rank(); }
  [[nodiscard]] int size() const override { return mesh_.size(); }
  [[nodiscard]] std::string name() const override { return "tcp"; }
  [[nodiscard]] bool broken() const override { return mesh_.broken(); }

  Status all_to_all(const at::Tensor& send, const Counts& send_counts, const Counts& send_offsets, at::Tensor& recv,
                    const Counts& recv_counts, const Counts& recv_offsets) override {
    require_host(send);
    require_host(recv);
    const auto width = static_cast<std::int64_t>(recv.element_size());
    const auto* from = static_cast<const char*>(send.const_data_ptr());
    auto* to = static_cast<char*>(recv.mutable_data_ptr());
    std::vector<Piece> sends(ranks());
    std::vector<MutablePiece> receives(ranks());
    for (std::size_t p = 0; p < ranks(); ++p) {
      sends[p] = {from + send_offsets.at(p) * width, send_counts.at(p) * width};
      receives[p] = {to + recv_offsets.at(p) * width, recv_counts.at(p) * width};
    }
    PLUMBLINE_CHECK(send_counts.at(me()) == recv_counts.at(me()), "what is sent is not what is received");
    if (send_counts[me()] > 0)
      std::memcpy(receives[me()].data, sends[me()].data, static_cast<std::size_t>(sends[me()].bytes));
    return mesh_.exchange(sends, receives);
  }

  Status all_gather(at::Tensor& buffer, const Counts& counts, const Counts& offsets) override {
    require_host(buffer);
    return mesh_.all_gather(static_cast<char*>(buffer.mutable_data_ptr()),
                            static_cast<std::int64_t>(buffer.element_size()), counts, offsets);
  }

  Status broadcast(at::Tensor& buffer, int root) override {
    require_host(buffer);
    return mesh_.broadcast({static_cast<char*>(buffer.mutable_data_ptr()), static_cast<std::int64_t>(buffer.nbytes())},
                           root);
  }

  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) override {
    return mesh_.all_gather_bytes(mine);
  }
  Status barrier() override { return mesh_.barrier(); }

 private:
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(mesh_.size()); }
  [[nodiscard]] std::size_t me() const { return static_cast<std::size_t>(mesh_.rank()); }
  static void require_host(const at::Tensor& tensor) {
    PLUMBLINE_CHECK(tensor.is_cpu() && tensor.is_contiguous(), "TCP moves contiguous tensors of the CPU");
  }

  Mesh mesh_;
};

}  // namespace

Result<std::unique_ptr<Collective>> make_tcp_collective(const MeshPlace& place, const MeshListener& listener,
                                                        const Interrupt& interrupt) {
  PLUMBLINE_ASSIGN(Mesh mesh, Mesh::gather(place, listener, interrupt));
  return std::unique_ptr<Collective>(std::make_unique<TcpCollective>(std::move(mesh)));
}

}  // namespace plumbline
