#include "coordinator/journal/claim.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "common/core/clock.hpp"
#include "common/core/files.hpp"
#include "common/core/json.hpp"

namespace plumbline {
namespace {

constexpr std::size_t kTokenBytes = 16;
constexpr std::uint64_t kMaxClaimBytes = 4096;

}  // namespace

Result<Claim> Claim::lay(const RunLayout& layout) {
  Claim claim(layout, to_hex(random_bytes(kTokenBytes)));
  std::array<char, 256> host{};
  static_cast<void>(::gethostname(host.data(), host.size() - 1));
  const Json json{{"token", claim.token_},
                  {"pid", static_cast<std::int64_t>(::getpid())},
                  {"hostname", host.data()},
                  {"time", utc_now()}};
  PLUMBLINE_TRY(write_file_atomically(layout.claim(), to_line(json) + "\n"));
  return claim;
}

std::optional<std::string> Claim::superseded_by() const {
  const auto text = read_file(layout_.claim(), kMaxClaimBytes);
  if (text.has_error()) return std::nullopt;
  const Json json = Json::parse(text.value(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("token", Json()) == token_) return std::nullopt;
  const Json pid = json.value("pid", Json()), host = json.value("hostname", Json());
  return fmt::format("process {} on {}", pid.is_number_integer() ? pid.get<std::int64_t>() : 0,
                     host.is_string() ? host.get<std::string>() : "another host");
}

Status Claim::check() const {
  if (const auto who = superseded_by()) return superseded_error(layout_, *who);
  return {};
}

Error superseded_error(const RunLayout& layout, const std::string& who) {
  const std::string run = layout.root().string();
  return run_error(
      "another coordinator has taken the run over: " + who, run,
      fmt::format("Watch it with `plumbline status {0}`. Should that one be lost too: plumbline resume {0}", run));
}

}  // namespace plumbline
