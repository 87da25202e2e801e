// The text of a journal: lines to entries and back. What a file may hold and a crash may leave is decided here.
#include <fmt/format.h>
#include <xxhash.h>

#include <utility>

#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

constexpr std::string_view kBeforeChecksum = R"(,"crc":")";
constexpr std::string_view kAfterChecksum = R"("})";
constexpr std::size_t kChecksumDigits = 16;
constexpr std::size_t kTailBytes = kBeforeChecksum.size() + kChecksumDigits + kAfterChecksum.size();

std::string checksum(std::string_view text) { return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())); }

/// The line without its checksum, once that agrees; the check is on bytes, so it does not depend on how JSON is
/// printed.
Result<std::string> checked(std::string_view line, const std::string& where) {
  if (line.size() > kMaxJournalLineBytes) return data_error("the line is too long for a journal", where);
  const std::size_t at = line.size() < kTailBytes ? std::string_view::npos : line.size() - kTailBytes;
  if (at == std::string_view::npos || line.substr(at, kBeforeChecksum.size()) != kBeforeChecksum ||
      !line.ends_with(kAfterChecksum))
    return data_error("the line does not end with a checksum", where);
  std::string body(line.substr(0, at));
  body += '}';
  if (line.substr(at + kBeforeChecksum.size(), kChecksumDigits) != checksum(body))
    return data_error("the checksum does not match the line", where);
  return body;
}

Result<JournalEntry> parse_body(std::string_view body, std::int64_t seq, const std::string& where) {
  PLUMBLINE_ASSIGN(const Json json, parse_json(body, where));
  JournalEntry entry;
  PLUMBLINE_ASSIGN(entry.seq, json_get<std::int64_t>(json, "seq", where));
  PLUMBLINE_ASSIGN(entry.time, json_get<std::string>(json, "time", where));
  PLUMBLINE_ASSIGN(entry.event, json_get<std::string>(json, "event", where));
  const auto data = json.find("data");
  if (data == json.end() || !data->is_object()) return data_error("the key \"data\" is missing or no object", where);
  entry.data = *data;
  if (entry.seq != seq)
    return data_error(fmt::format("line {} of the run is expected here, not {}", seq, entry.seq), where);
  return entry;
}

}  // namespace

std::string journal_line(const JournalEntry& entry) {
  const nlohmann::ordered_json line = {
      {"seq", entry.seq}, {"time", entry.time}, {"event", entry.event}, {"data", entry.data}};
  std::string text = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  const std::string crc = checksum(text);
  text.pop_back();
  text.append(kBeforeChecksum).append(crc).append(kAfterChecksum).append("\n");
  return text;
}

Result<JournalText> parse_journal(std::string_view text, const std::string& where) {
  JournalText journal;
  while (journal.whole_bytes < text.size()) {
    const std::size_t end = text.find('\n', journal.whole_bytes);
    if (end == std::string_view::npos) break;  // A crash cut the last line.
    const auto seq = static_cast<std::int64_t>(journal.entries.size()) + 1;
    const std::string line_where = fmt::format("{}:{}", where, seq);
    const auto body = checked(text.substr(journal.whole_bytes, end - journal.whole_bytes), line_where);
    if (body.has_error() && end + 1 == text.size()) break;  // Not all of its blocks reached the disk before a crash.
    auto entry = body.has_error() ? Result<JournalEntry>(body.error()) : parse_body(*body, seq, line_where);
    if (entry.has_error()) {
      Error error = std::move(entry).error();
      error.hint =
          "Something other than Plumbline wrote here. Restore the file, or keep only the lines before this one.";
      return error;
    }
    journal.entries.push_back(std::move(entry).value());
    journal.whole_bytes = end + 1;
  }
  return journal;
}

}  // namespace plumbline
