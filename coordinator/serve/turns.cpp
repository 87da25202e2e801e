#include "coordinator/serve/turns.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace plumbline {

void Turns::add(std::function<void()> task) {
  tasks_.push_back(std::move(task));
  if (!turn_is_due_) take_turn_soon();
}

/// Behind everything that the loop has to do already, which includes a look at the sockets.
void Turns::take_turn_soon() {
  turn_is_due_ = true;
  boost::asio::post(io_, [this] { take_turn(); });
}

void Turns::take_turn() {
  turn_is_due_ = false;
  for (std::size_t done = 0; done < kInARow && !tasks_.empty(); ++done) {
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
  if (!tasks_.empty() && !turn_is_due_) take_turn_soon();
}

}  // namespace plumbline
