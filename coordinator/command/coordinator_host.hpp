// Where a run's coordinator is, as seen from here.
#pragma once
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>
#include <variant>

#include "common/config/loopback.hpp"
#include "common/record/run_layout.hpp"
#include "common/wire/client.hpp"

namespace plumbline {

inline bool is_on_this_host(const CoordinatorAddress& address) {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 && address.hostname == host.data();
}

/// A coordinator on another host that listens there alone cannot be reached.
inline bool can_be_asked(const RunLayout& layout) {
  const auto address = read_address(layout);
  return address.has_value() && (is_on_this_host(*address) || !is_loopback(address->host));
}

/// The coordinator's `Reply` to `request`. Errors: ControlClient::connect's; an environment error when nothing else, or
/// nothing within ten seconds, is answered.
template <class Reply>
Result<Reply> ask_coordinator(const RunLayout& layout, const Message& request) {
  constexpr std::chrono::milliseconds kPatience{10'000};
  Hello hello;
  hello.role = Role::kClient;
  PLUMBLINE_ASSIGN(ControlClient client, ControlClient::connect(layout.root(), std::move(hello), kPatience));
  PLUMBLINE_TRY(client.send(request));
  PLUMBLINE_ASSIGN(auto answer, client.receive(kPatience));
  auto* reply = answer ? std::get_if<Reply>(&*answer) : nullptr;
  if (reply == nullptr) return environment_error("the coordinator did not answer", layout.root().string());
  return std::move(*reply);
}

}  // namespace plumbline
