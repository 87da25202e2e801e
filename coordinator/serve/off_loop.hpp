// Work that would hold up the event loop, on another thread, and what follows from it on the loop again.
#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <string>
#include <utility>

#include "common/core/result.hpp"

namespace plumbline {

/// Libraries throw; a thread that computes must not end the program for it: a run error then.
template <class Work>
Status guarded(const Work& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return run_error(std::string("a library failed: ") + e.what());
  }
}

/// Runs `work` (to a Status) on `thread`, then `then` with its result on `loop`, which does not run out of work
/// meanwhile.
template <class Work, class Then>
void off_loop(boost::asio::io_context& loop, boost::asio::thread_pool& thread, Work work, Then then) {
  boost::asio::post(thread, [&loop, work = std::move(work), then = std::move(then),
                             guard = boost::asio::make_work_guard(loop)]() mutable {
    boost::asio::post(loop, [result = guarded(work), then = std::move(then)]() mutable { then(result); });
  });
}

}  // namespace plumbline
