// The run's journal: any text as a file, the same lines under checksums that agree, and any data through a line and
// back.
#include <fmt/format.h>
#include <xxhash.h>

#include "common/core/check.hpp"
#include "coordinator/journal/journal.hpp"

namespace {

using namespace plumbline;

void read(std::string_view text) {
  const auto journal = parse_journal(text, "input");
  if (journal.has_error()) return;
  PLUMBLINE_CHECK(journal->whole_bytes <= text.size(), "more is whole than is there");
  const auto again = parse_journal(text.substr(0, journal->whole_bytes), "whole");
  PLUMBLINE_CHECK(again.has_value() && again->entries.size() == journal->entries.size(),
                  "the whole lines are not whole");
  std::string written;
  for (const JournalEntry& entry : journal->entries) written += journal_line(entry);
  const auto rewritten = parse_journal(written, "written");
  PLUMBLINE_CHECK(rewritten.has_value() && rewritten->whole_bytes == written.size(), "written lines are refused");
  static_cast<void>(replay(journal->entries));
}

/// Each line of `text` with the checksum that it should have, so that what lies behind the check is reached.
std::string with_checksums(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::string body(line.substr(0, line.find(",\"crc\":")));
    if (!body.ends_with('}') || body.size() < line.size()) body += '}';
    const std::string crc = fmt::format("{:016x}", XXH3_64bits(body.data(), body.size()));
    body.pop_back();
    out += body + ",\"crc\":\"" + crc + "\"}\n";
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  read(text);
  read(with_checksums(text));
  JournalEntry entry{1, std::string(text.substr(0, 30)), std::string(text), Json::object()};
  entry.data["text"] = std::string(text);
  const auto journal = parse_journal(journal_line(entry), "line");
  PLUMBLINE_CHECK(journal.has_value() && journal->entries.size() == 1, "a written line is refused");
  return 0;
}
