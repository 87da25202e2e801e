// Which addresses stay within a machine.
#pragma once
#include <string>

namespace plumbline {

/// An address of this machine that no other reaches: 127.0.0.0/8 or ::1. Names and other text are none.
bool is_loopback(const std::string& address);

}  // namespace plumbline
