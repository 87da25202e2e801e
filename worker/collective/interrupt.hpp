// Lets one thread end what another waits for inside a collective. Raised by the session's reader when the coordinator
// wants a new group; every wait of the collective sees it and comes back with an error. Thread-safe.
#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "common/core/file_descriptor.hpp"

namespace plumbline {

class Interrupt {
 public:
  Interrupt() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  void raise() {
    raised_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);  // full: it is readable already
  }
  void clear() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t read = ::read(event_.get(), &count, sizeof count);
    raised_ = false;
  }
  [[nodiscard]] bool raised() const { return raised_; }
  /// Readable while it is raised: for poll().
  [[nodiscard]] int descriptor() const { return event_.get(); }

 private:
  FileDescriptor event_;
  std::atomic<bool> raised_ = false;
};

}  // namespace plumbline
