#include "coordinator/serve/disk.hpp"

#include <system_error>

#include "common/core/files.hpp"

namespace plumbline {

namespace fs = std::filesystem;

namespace {

Error failed(const std::string& what, const fs::path& path, const std::error_code& ec) {
  if (ec == std::errc::no_space_on_device)
    return run_error(what + ": the disk is full", path.string(), "Free some space, then try again.");
  if (ec == std::errc::read_only_file_system)
    return environment_error(what + ": " + ec.message(), path.string(), "Have the file system mounted for writing.");
  if (ec == std::errc::permission_denied)
    return environment_error(what + ": " + ec.message(), path.string(), "Choose a folder that you may write to.");
  return run_error(what + ": " + ec.message(), path.string());
}

}  // namespace

Status make_folder(const fs::path& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) return failed("the folder cannot be made", folder, ec);
  return {};
}

Status move_folder(const fs::path& from, const fs::path& to) {
  PLUMBLINE_TRY(fsync_path(from));
  std::error_code ec;
  fs::rename(from, to, ec);
  if (ec) return failed("the folder cannot be moved into place", to, ec);
  return fsync_path(to.parent_path());
}

void remove_folder(const fs::path& folder) {
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

}  // namespace plumbline
