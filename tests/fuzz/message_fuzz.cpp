// A control-plane message: its type, a byte, and its payload. What is accepted must survive being sent on.
#include <string>

#include "common/core/check.hpp"
#include "common/wire/message.hpp"

namespace {

using namespace plumbline;

void read_message(const Frame& frame) {
  const auto message = from_frame(frame);
  if (message.has_error()) {
    PLUMBLINE_CHECK(message.error().code == ErrorCode::kRun && !message.error().message.empty(),
                    "an error without words");
    return;
  }
  const Frame sent = to_frame(message.value(), frame.generation);
  PLUMBLINE_CHECK(encode_frame(sent).has_value(), "an accepted message cannot be sent on");
  const auto again = from_frame(sent);
  PLUMBLINE_CHECK(again.has_value() && sent.type == frame.type, "a sent message is refused");
  // Longer texts are clipped when they are sent.
  if (frame.payload.size() < 32'768)
    PLUMBLINE_CHECK(to_frame(again.value(), frame.generation).payload == sent.payload, "a message changed on the way");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size >= 1) read_message({data[0], Generation(1), std::string(reinterpret_cast<const char*>(data) + 1, size - 1)});
  return 0;
}
