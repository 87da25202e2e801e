#include "coordinator/serve/event_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>

#include "common/core/clock.hpp"
#include "common/core/file_descriptor.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBegin = "events.out.tfevents.", kEnd = ".plumbline";
constexpr std::size_t kTimeDigits = 10;

void add_numbers(std::vector<Scalar>& scalars, const std::string& prefix, const Json& object) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) add_numbers(scalars, prefix + key + "/", value);
    if (!value.is_number()) continue;
    const double number = value.get<double>();
    if (std::isfinite(number)) scalars.push_back({prefix + key, number});
  }
}

/// Seconds since 1970 of "2026-11-24T10:24:13.123456Z"; of anything else, now: a chart needs some time.
double seconds_of(const Json& time) {
  std::tm utc{};
  const std::string text = time.is_string() ? time.get<std::string>() : utc_now();
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) return static_cast<double>(std::time(nullptr));
  const auto whole = static_cast<double>(::timegm(&utc));
  return *rest == '.' ? whole + std::strtod(("0" + std::string(rest)).c_str(), nullptr) : whole;
}

/// Ours alone: another program's event files are not touched.
std::vector<fs::path> event_files(const RunLayout& layout) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (fs::directory_iterator entry(layout.root(), ec), end; !ec && entry != end; entry.increment(ec)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(kBegin) && name.ends_with(kEnd)) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// The time in a file's name; 0 where there is none.
std::int64_t time_in_name(const fs::path& file) {
  const std::string name = file.filename().string();
  std::int64_t time = 0;
  const char* begin = name.data() + kBegin.size();
  std::from_chars(begin, std::min(begin + kTimeDigits, name.data() + name.size()), time);
  return time;
}

Status append_bytes(const fs::path& path, std::string_view bytes) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  while (file && !bytes.empty()) {
    const ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  if (file && bytes.empty()) return {};
  return run_error(fmt::format("the event file for TensorBoard cannot be written: {}", std::strerror(errno)),
                   path.string());
}

/// Cuts off what is of `step` and later.
Status forget_from(const RunLayout& layout, std::int64_t step) {
  for (const fs::path& file : event_files(layout)) {
    PLUMBLINE_ASSIGN(const std::string bytes, read_file(file));
    const std::size_t kept = bytes_before_step(bytes, step);
    if (kept == bytes.size()) continue;
    std::error_code ec;
    fs::resize_file(file, kept, ec);
    if (ec) return run_error("the event file for TensorBoard cannot be cut: " + ec.message(), file.string());
  }
  return {};
}

}  // namespace

std::vector<Scalar> scalars_of(const Json& line) {
  std::vector<Scalar> scalars;
  if (!line.is_object()) return scalars;
  Json run = line;
  for (const char* key : {"step", "norms"}) run.erase(key);
  add_numbers(scalars, "", run);
  const bool is_train = line.value("kind", Json()) == "train";
  if (const auto norms = line.find("norms"); norms != line.end() && norms->is_object())
    add_numbers(scalars, is_train ? "norm/" : "heldout/", *norms);
  return scalars;
}

EventLog::EventLog(RunLayout layout, const std::vector<Json>& lines) : layout_(std::move(layout)) {
  for (const Json& line : lines) {
    if (!line.value("step", Json()).is_number_integer()) continue;
    const auto step = line.at("step").get<std::int64_t>();
    (line.value("kind", Json()) == "train" ? newest_.train : newest_.held_out) = step;
  }
}

Status EventLog::add(const Json& line) {
  if (given_up_) return {};
  Status written = write(line);
  given_up_ = written.has_error();
  return written;
}

Status EventLog::write(const Json& line) {
  const std::vector<Scalar> scalars = scalars_of(line);
  if (scalars.empty() || !line.value("step", Json()).is_number_integer()) return {};
  const auto step = line.at("step").get<std::int64_t>();
  const bool is_train = line.value("kind", Json()) == "train";
  const double time = seconds_of(line.value("time", Json()));
  // A training step is taken once on the way; a measurement comes behind its step.
  const bool goes_back = step < newest_.train || step <= (is_train ? newest_.train : newest_.held_out);
  if (goes_back) {
    PLUMBLINE_TRY(forget_from(layout_, step));
    newest_ = {std::min(newest_.train, step - 1), std::min(newest_.held_out, step - 1)};
  }
  // What a reader has seen of a file that was cut is void for it only when a later file says so.
  if (file_.empty() || goes_back) PLUMBLINE_TRY(begin_file(time, step));
  (is_train ? newest_.train : newest_.held_out) = step;
  return append_bytes(file_, scalars_record(time, step, scalars));
}

Status EventLog::begin_file(double wall_time, std::int64_t step) {
  const std::vector<fs::path> earlier = event_files(layout_);
  std::array<char, 256> host{};
  static_cast<void>(::gethostname(host.data(), host.size() - 1));
  const std::int64_t least = earlier.empty() ? 0 : time_in_name(earlier.back()) + 1;
  const auto time = std::max(static_cast<std::int64_t>(wall_time), least);  // Readers take files by name.
  file_ = layout_.root() / fmt::format("{}{:0{}}.{}.{}{}", kBegin, time, kTimeDigits, host.data(), ::getpid(), kEnd);
  std::string begin = event_file_head(wall_time);
  if (!earlier.empty()) begin += restart_record(wall_time, step);
  return append_bytes(file_, begin);
}

}  // namespace plumbline
