// What is to be said to thousands of peers, a little in each turn of the event loop, so that whoever asks something
// meanwhile waits for milliseconds and not until everybody has been told.
//
// Tasks are done in the order in which they were added, each once, on the loop, never from within add(). What is added
// while others wait comes behind them. So when everything that is said to workers goes this way, each of them hears it
// in the order in which it was decided.
#pragma once
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>

namespace plumbline {

class Turns {
 public:
  /// Tasks in a row: with the writing that each leads to about a millisecond.
  static constexpr std::size_t kInARow = 64;

  /// `io` outlives what is added.
  explicit Turns(boost::asio::io_context& io) : io_(io) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  /// `task` throws nothing that is to be caught: what it throws comes out of the loop's run().
  void add(std::function<void()> task);
  [[nodiscard]] std::size_t waiting() const { return tasks_.size(); }

 private:
  void take_turn_soon();
  void take_turn();

  boost::asio::io_context& io_;
  std::deque<std::function<void()>> tasks_;
  bool turn_is_due_ = false;
};

}  // namespace plumbline
