#include "worker/share.hpp"

#include <cstring>

#include "common/core/json.hpp"

namespace plumbline {

namespace {

void append_with_length(std::string& all, const std::string& bytes) {
  const std::uint64_t length = bytes.size();
  all.append(reinterpret_cast<const char*>(&length), sizeof length).append(bytes);
}

/// Takes the next length and bytes off `all` at `at`; false when they are not there.
bool take(const std::string& all, std::size_t& at, std::string& bytes) {
  std::uint64_t length = 0;
  if (all.size() - at < sizeof length) return false;
  std::memcpy(&length, all.data() + at, sizeof length);
  at += sizeof length;
  if (all.size() - at < length) return false;
  bytes = all.substr(at, length);
  at += length;
  return true;
}

}  // namespace

Status agree(Collective& collective, const Status& mine) {
  std::string message;
  if (mine.has_error()) {
    const Error& e = mine.error();
    message =
        Json{static_cast<int>(e.code), e.message, e.where, e.hint}.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  PLUMBLINE_ASSIGN(const auto all, collective.all_gather_bytes(message));
  for (const auto& text : all) {
    if (text.empty()) continue;
    PLUMBLINE_ASSIGN(const Json error, parse_json(text, "another worker"));
    if (!error.is_array() || error.size() != 4 || !error[0].is_number_integer())
      return run_error("another worker failed and did not say how", "worker");
    return Error{static_cast<ErrorCode>(error[0].get<int>()), error[1].get<std::string>(), error[2].get<std::string>(),
                 error[3].get<std::string>()};
  }
  return {};
}

Result<std::vector<std::string>> share_batches(Collective& collective, std::size_t batches,
                                               const std::function<Result<std::string>(std::size_t)>& work) {
  const auto rank = static_cast<std::size_t>(collective.rank()), world = static_cast<std::size_t>(collective.size());
  std::string mine;
  const auto work_all = [&]() -> Status {
    for (std::size_t b = rank; b < batches; b += world) {
      PLUMBLINE_ASSIGN(const std::string bytes, work(b));
      append_with_length(mine, bytes);
    }
    return {};
  };
  PLUMBLINE_TRY(agree(collective, work_all()));
  PLUMBLINE_ASSIGN(const auto all, collective.all_gather_bytes(mine));
  std::vector<std::string> results(batches);
  std::vector<std::size_t> at(world, 0);
  for (std::size_t b = 0; b < batches; ++b)
    if (!take(all[b % world], at[b % world], results[b]))
      return run_error("a worker's results are cut short", "worker");
  return results;
}

}  // namespace plumbline
