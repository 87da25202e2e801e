#include "coordinator/serve/left_over.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

#include "common/core/files.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporary = ".tmp", kPartialSnapshot = ".h5.partial";
constexpr std::size_t kRandomDigits = 16;
constexpr std::chrono::minutes kReportIsWritten{1};

/// ".report.html.0123456789abcdef.tmp" → "report.html"; "" for any other name.
std::string named_by(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::size_t suffix = 1 + kRandomDigits + kTemporary.size();  // ".0123456789abcdef.tmp"
  if (!name.starts_with('.') || !name.ends_with(kTemporary) || name.size() < 2 + suffix) return {};
  const std::size_t end = name.size() - suffix;
  const std::string digits = name.substr(end + 1, kRandomDigits);
  return name[end] == '.' && is_hex(digits, kRandomDigits, kRandomDigits) ? name.substr(1, end - 1) : std::string();
}

bool is_partial_snapshot(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.starts_with(".step-") && name.ends_with(kPartialSnapshot);
}

bool is_recent(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  return error || fs::file_time_type::clock::now() - written < kReportIsWritten;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error, ignored;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (fs::is_regular_file(entry->symlink_status(ignored))) files.push_back(entry->path());
  return files;
}

}  // namespace

std::vector<fs::path> remove_left_over_files(const RunLayout& layout) {
  std::vector<fs::path> found;
  for (const fs::path& file : files_in(layout.root())) {
    const std::string name = named_by(file);
    const bool is_report = name == layout.report().filename();
    if (name == layout.config().filename() || name == layout.coordinator().filename() ||
        (is_report && !is_recent(file)))
      found.push_back(file);
  }
  for (const fs::path& folder : {layout.evaluation(), layout.snapshots(), layout.reference()})
    for (const fs::path& file : files_in(folder))
      if (!named_by(file).empty() || (folder == layout.snapshots() && is_partial_snapshot(file))) found.push_back(file);
  std::error_code error;
  std::erase_if(found, [&](const fs::path& file) { return !fs::remove(file, error); });
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace plumbline
