#include "worker/activity.hpp"

namespace plumbline {

Activity& activity() {
  static Activity of_this_process;
  return of_this_process;
}

void Activity::begin_group() {
  const std::lock_guard lock(mutex_);
  calls_ = 0;
  last_call_.clear();
}

Activity::Seen Activity::look() const {
  const std::lock_guard lock(mutex_);
  return {work_.load(std::memory_order_relaxed), calls_, waits_in_, waits_for_, last_call_};
}

void Activity::begin_stage(const std::string& stage, std::int64_t step) {
  const std::lock_guard lock(mutex_);
  doing_ = Work();
  doing_.stage = stage, doing_.step = step;
}

void Activity::reads_sources(std::int64_t rows, std::int64_t tokens) {
  const std::lock_guard lock(mutex_);
  doing_.sources = rows, doing_.source_tokens = tokens;
  doing_.outputs = doing_.output_tokens = 0;
}

void Activity::writes_outputs(std::int64_t rows, std::int64_t tokens) {
  const std::lock_guard lock(mutex_);
  doing_.outputs = rows, doing_.output_tokens = tokens;
}

Activity::Work Activity::work() const {
  const std::lock_guard lock(mutex_);
  return doing_;
}

void Activity::wait_for(const std::vector<int>& ranks) {
  const std::lock_guard lock(mutex_);
  waits_for_ = ranks;
}

Activity::Wait::Wait(const char* in) {
  Activity& mine = activity();
  const std::lock_guard lock(mine.mutex_);
  mine.waits_in_ = in;
  mine.waits_for_.clear();
}

Activity::Wait::~Wait() {
  Activity& mine = activity();
  mine.advance();
  const std::lock_guard lock(mine.mutex_);
  mine.waits_in_.clear();
  mine.waits_for_.clear();
}

Activity::Call::Call(const char* name) : wait_(name) {
  Activity& mine = activity();
  const std::lock_guard lock(mine.mutex_);
  ++mine.calls_;
  mine.last_call_ = name;
}

}  // namespace plumbline
