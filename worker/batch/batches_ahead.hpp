// Micro-batches made by another thread, one ahead of the one that is being computed: reading, padding and the copy to a
// GPU then cost the training thread nothing. One owner, used from one thread; at most one batch waits.
#pragma once
#include <cstdint>
#include <functional>
#include <future>
#include <vector>

#include "worker/batch/batch.hpp"

namespace plumbline {

class BatchesAhead {
 public:
  using Rows = std::vector<std::int64_t>;
  /// `make` runs on another thread, so it may only read what nobody writes meanwhile.
  explicit BatchesAhead(std::function<Batch(const Rows&)> make) : make_(std::move(make)) {}
  /// Starts over: the first of `batches` is begun at once.
  void begin(std::vector<Rows> batches);
  /// The next batch, waited for; the one after it is begun. What `make` throws is thrown here. Not more often than
  /// there are batches.
  Batch next();

 private:
  void make_next();

  std::function<Batch(const Rows&)> make_;
  std::vector<Rows> batches_;
  std::size_t begun_ = 0;
  std::future<Batch> ahead_;
};

}  // namespace plumbline
