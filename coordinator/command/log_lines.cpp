#include "coordinator/command/log_lines.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace plumbline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunkBytes = 64 << 10;
constexpr std::string_view kTimeShape = "0000-00-00T00:00:00.000000Z ";

bool starts_with_time(std::string_view line) {
  if (line.size() < kTimeShape.size()) return false;
  return std::equal(kTimeShape.begin(), kTimeShape.end(), line.begin(),
                    [](char shape, char c) { return shape == '0' ? c >= '0' && c <= '9' : shape == c; });
}

/// worker-0003.log → 3
std::optional<int> rank_of(std::string_view name) {
  constexpr std::string_view kBefore = "worker-", kAfter = ".log";
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter) || name.size() <= kBefore.size() + kAfter.size()) return {};
  const std::string_view digits = name.substr(kBefore.size(), name.size() - kBefore.size() - kAfter.size());
  int rank = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (error != std::errc() || end != digits.data() + digits.size() || rank < 0) return {};
  return rank;
}

std::optional<std::string> label_of(const std::string& name, std::optional<int> wanted) {
  const auto rank = rank_of(name);
  if (rank && (!wanted || *wanted == *rank)) return fmt::format("rank {}", *rank);
  if (!wanted && name == "coordinator.log") return "coordinator";
  return std::nullopt;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames = {"trace", "debug", "info", "warn", "error"};
  std::string lower(name);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const auto found = std::find(kNames.begin(), kNames.end(), lower);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<LogLevel>(found - kNames.begin());
}

std::optional<LogLine> parse_log_line(std::string_view line) {
  if (!starts_with_time(line)) return std::nullopt;
  const std::string_view text = line.substr(kTimeShape.size());
  const auto level = parse_log_level(text.substr(0, text.find(' ')));
  if (!level) return std::nullopt;
  return LogLine{std::string(line.substr(0, kTimeShape.size() - 1)), *level, std::string(text)};
}

Result<std::unique_ptr<LogFile>> LogFile::open(const fs::path& path, std::string label) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return data_error(fmt::format("the log cannot be read: {}", std::strerror(errno)), path.string());
  return std::unique_ptr<LogFile>(new LogFile(fd, std::move(label)));
}

LogFile::~LogFile() { ::close(fd_); }

/// The next bytes of the file into chunk_, whose old ones are used up.
bool LogFile::fill() {
  struct stat now {};
  if (::fstat(fd_, &now) == 0 && now.st_size < offset_) {  // Cut by someone: what follows is new.
    offset_ = 0;
    line_.clear();
  }
  chunk_.resize(kChunkBytes);
  ssize_t n = 0;
  do n = ::pread(fd_, chunk_.data(), chunk_.size(), offset_);
  while (n < 0 && errno == EINTR);
  chunk_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  at_ = 0;
  offset_ += static_cast<std::int64_t>(chunk_.size());
  return !chunk_.empty();
}

std::optional<std::string> LogFile::next_text(Unfinished unfinished) {
  for (;;) {
    const std::size_t end = std::min(chunk_.find('\n', at_), chunk_.size());
    line_.append(chunk_, at_, std::min(end - at_, kMaxLineBytes - std::min(line_.size(), kMaxLineBytes)));
    const bool ended = end < chunk_.size();
    at_ = ended ? end + 1 : end;
    if (ended) return std::exchange(line_, {});
    if (fill()) continue;
    if (unfinished == Unfinished::kTake && !line_.empty()) return std::exchange(line_, {});
    return std::nullopt;
  }
}

std::optional<LogLine> LogFile::next(Unfinished unfinished) {
  auto text = next_text(unfinished);
  if (!text) return std::nullopt;
  if (text->size() >= kMaxLineBytes) text->append("…");
  auto line = parse_log_line(*text);
  if (!line) return LogLine{time_, level_, std::move(*text)};
  time_ = line->time;
  level_ = line->level;
  return line;
}

Status LogMerge::discover() {
  std::error_code ec;
  std::vector<std::pair<std::string, std::string>> found;  // label, name: the coordinator first, then ranks
  for (const auto& entry : fs::directory_iterator(logs_, ec)) {
    std::string name = entry.path().filename().string();
    auto label = label_of(name, rank_);
    if (label && std::find(known_.begin(), known_.end(), name) == known_.end())
      found.emplace_back(std::move(*label), std::move(name));
  }
  std::sort(found.begin(), found.end());
  for (auto& [label, name] : found) {
    PLUMBLINE_ASSIGN(auto file, LogFile::open(logs_ / name, std::move(label)));
    sources_.push_back({std::move(file), std::nullopt});
    known_.push_back(std::move(name));
  }
  return {};
}

std::optional<LogMerge::Line> LogMerge::next(Unfinished unfinished) {
  Source* earliest = nullptr;
  for (Source& source : sources_) {
    if (!source.line) source.line = source.file->next(unfinished);
    if (source.line && (earliest == nullptr || source.line->time < earliest->line->time)) earliest = &source;
  }
  if (earliest == nullptr) return std::nullopt;
  return Line{earliest->file->label(), *std::exchange(earliest->line, std::nullopt)};
}

}  // namespace plumbline
