#include "coordinator/curate/staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

/// `out` without "." and "..", links or a slash at its end, so that the folder beside it is on the same file system.
Result<fs::path> resolved(const fs::path& out) {
  std::error_code ec;
  fs::path path = fs::weakly_canonical(fs::absolute(out, ec), ec);
  if (ec) return run_error("the folder cannot be made: " + ec.message(), out.string());
  if (!path.has_filename()) path = path.parent_path();
  if (!path.has_filename())
    return usage_error("a dataset needs a folder of its own", out.string(), "Name one with --out DIR.");
  return path;
}

Status check_place(const fs::path& out, bool replace) {
  std::error_code ec;
  if (!fs::exists(fs::symlink_status(out, ec))) return {};
  if (!fs::is_directory(out, ec))
    return usage_error("this is a file; a dataset is a folder", out.string(), "Name another place with --out.");
  if (fs::is_empty(out, ec)) return {};
  const bool is_dataset = fs::is_regular_file(out / "dataset.json", ec);
  if (!is_dataset)
    return usage_error("the folder is not empty and holds no dataset, so it is left alone (also with --replace)",
                       out.string(), "Name another place with --out.");
  if (!replace)
    return usage_error("there is a dataset here already", out.string(),
                       "Add --replace to put the new one in its place, or name another with --out.");
  return {};
}

constexpr std::size_t kNameBytes = 4;
constexpr const char* kStaged = ".partial";

/// A name beside `out` that nobody else uses.
fs::path beside(const fs::path& out, const std::string& ending) {
  return out.parent_path() / fmt::format(".{}.{}{}", out.filename().string(), to_hex(random_bytes(kNameBytes)), ending);
}

bool is_staged_for(const fs::path& out, const std::string& name) {
  const std::string begin = fmt::format(".{}.", out.filename().string());
  if (name.size() != begin.size() + 2 * kNameBytes + std::string_view(kStaged).size()) return false;
  return name.starts_with(begin) && name.ends_with(kStaged) &&
         is_hex(std::string_view(name).substr(begin.size(), 2 * kNameBytes), 2 * kNameBytes, 2 * kNameBytes);
}

/// Its lock, or none on a file system without locks; nothing when another process holds it.
std::optional<FileDescriptor> lock_folder(const fs::path& folder) {
  FileDescriptor lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) return std::nullopt;
  return FileDescriptor();
}

/// Removes the folders of calls that were killed: nobody holds their locks.
void remove_abandoned(const fs::path& out) {
  std::error_code ec;
  for (fs::directory_iterator entry(out.parent_path(), ec), end; !ec && entry != end; entry.increment(ec)) {
    if (!is_staged_for(out, entry->path().filename().string())) continue;
    const auto lock = lock_folder(entry->path());
    if (!lock || !*lock) continue;
    std::error_code failed;
    fs::remove_all(entry->path(), failed);
    if (failed)
      spdlog::warn("{}: what an interrupted call left cannot be removed: {}", entry->path().string(), failed.message());
    else
      spdlog::info("removed what an interrupted call left: {}", entry->path().string());
  }
}

/// A new folder beside `out`. Another call may take it for abandoned before it is locked; then the next name is tried.
Result<std::pair<fs::path, FileDescriptor>> make_staged(const fs::path& out) {
  for (;;) {
    const fs::path folder = beside(out, kStaged);
    std::error_code ec;
    fs::create_directories(folder, ec);
    if (ec) return run_error("the folder cannot be made: " + ec.message(), folder.string());
    auto lock = lock_folder(folder);
    if (lock && fs::exists(folder, ec)) return std::pair(folder, std::move(*lock));
  }
}

}  // namespace

Staging::Staging(fs::path out, fs::path folder, FileDescriptor lock)
    : out_(std::move(out)), folder_(std::move(folder)), lock_(std::move(lock)) {}
Staging::Staging(Staging&& other) noexcept
    : out_(std::move(other.out_)), folder_(std::exchange(other.folder_, {})), lock_(std::move(other.lock_)) {}
Staging::~Staging() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

Result<Staging> Staging::make(const fs::path& out, bool replace) {
  PLUMBLINE_ASSIGN(const fs::path place, resolved(out));
  PLUMBLINE_TRY(check_place(place, replace));
  remove_abandoned(place);
  PLUMBLINE_ASSIGN(auto staged, make_staged(place));
  return Staging(place, std::move(staged.first), std::move(staged.second));
}

Status Staging::commit() {
  PLUMBLINE_TRY(fsync_path(folder_));
  std::error_code ec;
  fs::path aside;
  if (fs::exists(out_, ec)) {
    aside = beside(out_, ".old");
    fs::rename(out_, aside, ec);
    if (ec) return run_error("the folder cannot be replaced: " + ec.message(), out_.string());
  }
  fs::rename(folder_, out_, ec);
  if (ec) {
    const std::string reason = ec.message();
    if (!aside.empty()) fs::rename(aside, out_, ec);
    return run_error("the finished dataset cannot be put in its place: " + reason, out_.string());
  }
  folder_.clear();
  PLUMBLINE_TRY(fsync_path(out_.parent_path()));
  if (!aside.empty()) fs::remove_all(aside, ec);
  return {};
}

}  // namespace plumbline
