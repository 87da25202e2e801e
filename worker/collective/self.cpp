// A group of one: what is sent is received.
#include <cstring>

#include "common/core/check.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

namespace {

class SelfCollective final : public Collective {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  Status all_to_all(const at::Tensor& send, const std::vector<std::int64_t>& send_counts,
                    const std::vector<std::int64_t>& send_offsets, at::Tensor& recv,
                    const std::vector<std::int64_t>& recv_counts,
                    const std::vector<std::int64_t>& recv_offsets) override {
    PLUMBLINE_CHECK(send_counts.at(0) == recv_counts.at(0), "what is sent is not what is received");
    const at::NoGradGuard no_grad;
    if (send_counts[0] > 0)
      recv.narrow(0, recv_offsets.at(0), recv_counts[0]).copy_(send.narrow(0, send_offsets.at(0), send_counts[0]));
    return {};
  }
  Status all_gather(at::Tensor&, const std::vector<std::int64_t>&, const std::vector<std::int64_t>&) override {
    return {};
  }
  Status broadcast(at::Tensor&, int) override { return {}; }
  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) override {
    return std::vector<std::string>{mine};
  }
  Status barrier() override { return {}; }
  [[nodiscard]] std::string name() const override { return "self"; }
};

}  // namespace

std::unique_ptr<Collective> make_self_collective() { return std::make_unique<SelfCollective>(); }

}  // namespace plumbline
