#include "coordinator/curate/staging.hpp"

#include <fmt/format.h>

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

/// A name beside `out` that nobody else uses.
fs::path beside(const fs::path& out, const std::string& ending) {
  return out.parent_path() / fmt::format(".{}.{}{}", out.filename().string(), to_hex(random_bytes(4)), ending);
}

}  // namespace

Staging::Staging(fs::path out, fs::path folder) : out_(std::move(out)), folder_(std::move(folder)) {}
Staging::Staging(Staging&& other) noexcept : out_(std::move(other.out_)), folder_(std::exchange(other.folder_, {})) {}
Staging::~Staging() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

Result<Staging> Staging::make(const fs::path& out, bool replace) {
  PLUMBLINE_ASSIGN(const fs::path place, resolved(out));
  PLUMBLINE_TRY(check_place(place, replace));
  const fs::path folder = beside(place, ".partial");
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) return run_error("the folder cannot be made: " + ec.message(), folder.string());
  return Staging(place, folder);
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
