// Ranks as threads of one process, for tests: every call publishes a pointer, meets the others at a barrier, copies
// what is its own, and meets them again before the pointers go away.
#include <barrier>
#include <cstring>

#include "common/core/check.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

namespace {

using Counts = std::vector<std::int64_t>;

struct Published {
  const char* data = nullptr;
  const Counts* counts = nullptr;
  const Counts* offsets = nullptr;
  const std::string* bytes = nullptr;
};

struct Meeting {
  explicit Meeting(int size) : barrier(size), places(static_cast<std::size_t>(size)) {}
  std::barrier<> barrier;
  std::vector<Published> places;
};

class ThreadCollective final : public Collective {
 public:
  ThreadCollective(std::shared_ptr<Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank) {}
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return static_cast<int>(meeting_->places.size()); }

  Status all_to_all(const at::Tensor& send, const Counts& send_counts, const Counts& send_offsets, at::Tensor& recv,
                    const Counts& recv_counts, const Counts& recv_offsets) override {
    const auto me = static_cast<std::size_t>(rank_);
    meet({static_cast<const char*>(send.const_data_ptr()), &send_counts, &send_offsets, nullptr});
    const std::size_t width = recv.element_size();
    for (std::size_t p = 0; p < meeting_->places.size(); ++p) {
      const Published& from = meeting_->places[p];
      PLUMBLINE_CHECK(from.counts->at(me) == recv_counts.at(p), "what is sent is not what is received");
      copy(recv, recv_offsets.at(p), from.data + static_cast<std::size_t>(from.offsets->at(me)) * width,
           recv_counts[p]);
    }
    meeting_->barrier.arrive_and_wait();
    return {};
  }
  Status all_gather(at::Tensor& buffer, const Counts& counts, const Counts& offsets) override {
    meet({static_cast<const char*>(buffer.const_data_ptr()), &counts, &offsets, nullptr});
    for (std::size_t p = 0; p < meeting_->places.size(); ++p)
      if (p != static_cast<std::size_t>(rank_))
        copy(buffer, offsets.at(p),
             meeting_->places[p].data + static_cast<std::size_t>(offsets[p]) * buffer.element_size(), counts.at(p));
    meeting_->barrier.arrive_and_wait();
    return {};
  }
  Status broadcast(at::Tensor& buffer, int root) override {
    meet({static_cast<const char*>(buffer.const_data_ptr()), nullptr, nullptr, nullptr});
    if (root != rank_) copy(buffer, 0, meeting_->places.at(static_cast<std::size_t>(root)).data, buffer.numel());
    meeting_->barrier.arrive_and_wait();
    return {};
  }
  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) override {
    meet({nullptr, nullptr, nullptr, &mine});
    std::vector<std::string> all;
    for (const Published& place : meeting_->places) all.push_back(*place.bytes);
    meeting_->barrier.arrive_and_wait();
    return all;
  }
  Status barrier() override {
    meeting_->barrier.arrive_and_wait();
    return {};
  }
  [[nodiscard]] std::string name() const override { return "threads"; }

 private:
  void meet(Published mine) {
    meeting_->places[static_cast<std::size_t>(rank_)] = mine;
    meeting_->barrier.arrive_and_wait();
  }
  static void copy(at::Tensor& to, std::int64_t offset, const char* from, std::int64_t count) {
    PLUMBLINE_CHECK(offset >= 0 && count >= 0 && offset + count <= to.numel(), "a piece lies outside the buffer");
    const std::size_t width = to.element_size();
    if (count > 0)
      std::memcpy(static_cast<char*>(to.mutable_data_ptr()) + static_cast<std::size_t>(offset) * width, from,
                  static_cast<std::size_t>(count) * width);
  }

  std::shared_ptr<Meeting> meeting_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Collective>> make_thread_collectives(int size) {
  const auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<Collective>> all;
  for (int rank = 0; rank < size; ++rank) all.push_back(std::make_unique<ThreadCollective>(meeting, rank));
  return all;
}

}  // namespace plumbline
