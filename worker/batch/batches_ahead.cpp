#include "worker/batch/batches_ahead.hpp"

#include "common/core/check.hpp"

namespace plumbline {

void BatchesAhead::begin(std::vector<Rows> batches) {
  ahead_ = {};  // Waits for one that nobody took, which reads batches_.
  batches_ = std::move(batches);
  begun_ = 0;
  make_next();
}

Batch BatchesAhead::next() {
  PLUMBLINE_CHECK(ahead_.valid(), "there is no next batch");
  std::future<Batch> made = std::move(ahead_);
  make_next();
  return made.get();
}

void BatchesAhead::make_next() {
  if (begun_ == batches_.size()) return;
  const Rows& rows = batches_[begun_++];
  ahead_ = std::async(std::launch::async, [this, &rows] { return make_(rows); });
}

}  // namespace plumbline
