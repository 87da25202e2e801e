#include "common/wire/connection.hpp"

#include <array>

namespace plumbline {

Status Connection::send(const Frame& frame, Deadline deadline) {
  PLUMBLINE_ASSIGN(const std::string bytes, encode_frame(frame));
  return stream_.write_all(bytes, deadline);
}

Result<std::optional<Frame>> Connection::receive(Deadline deadline) {
  std::array<char, 1 << 14> block{};  // what one record holds
  for (;;) {
    PLUMBLINE_ASSIGN(std::optional<Frame> frame, arrived_.take());
    if (frame) return frame;
    PLUMBLINE_ASSIGN(const std::size_t got, stream_.read_some(block, deadline));
    if (got == 0) return std::optional<Frame>();
    arrived_.add({block.data(), got});
  }
}

}  // namespace plumbline
