// A collective whose calls show in this process's activity, so that heartbeats tell which call a worker is in.
#pragma once
#include <string>
#include <vector>

#include "worker/activity.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

/// Passes everything on to `group`, which outlives it. Its calls are counted from 0.
class WatchedCollective final : public Collective {
 public:
  explicit WatchedCollective(Collective& group) : group_(group) { activity().begin_group(); }

  [[nodiscard]] int rank() const override { return group_.rank(); }
  [[nodiscard]] int size() const override { return group_.size(); }
  Status all_to_all(const at::Tensor& send, const std::vector<std::int64_t>& send_counts,
                    const std::vector<std::int64_t>& send_offsets, at::Tensor& recv,
                    const std::vector<std::int64_t>& recv_counts,
                    const std::vector<std::int64_t>& recv_offsets) override {
    const Activity::Call call("all_to_all");
    return group_.all_to_all(send, send_counts, send_offsets, recv, recv_counts, recv_offsets);
  }
  Status all_gather(at::Tensor& buffer, const std::vector<std::int64_t>& counts,
                    const std::vector<std::int64_t>& offsets) override {
    const Activity::Call call("all_gather");
    return group_.all_gather(buffer, counts, offsets);
  }
  Status broadcast(at::Tensor& buffer, int root) override {
    const Activity::Call call("broadcast");
    return group_.broadcast(buffer, root);
  }
  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) override {
    const Activity::Call call("all_gather_bytes");
    return group_.all_gather_bytes(mine);
  }
  Status barrier() override {
    const Activity::Call call("barrier");
    return group_.barrier();
  }
  [[nodiscard]] std::string name() const override { return group_.name(); }
  [[nodiscard]] bool broken() const override { return group_.broken(); }

 private:
  Collective& group_;
};

}  // namespace plumbline
