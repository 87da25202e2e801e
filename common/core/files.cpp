#include "common/core/files.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include "common/core/check.hpp"
#include "common/core/file_descriptor.hpp"
#include "common/core/hashed_file.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunkBytes = 1u << 18, kBlockBytes = 1u << 22, kSyncedBytes = 1u << 26;

std::string reason(int error) { return std::generic_category().message(error); }

Error read_failed(const fs::path& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return data_error("no such file", path.string());
  if (error == EISDIR) return data_error("this is a folder, not a file", path.string());
  return environment_error("the file cannot be read: " + reason(error), path.string());
}

Error write_failed(const fs::path& path, int error) {
  if (error == ENOSPC || error == EDQUOT)
    return run_error("the file cannot be written: the disk is full", path.string(), "Free some space, then try again.");
  const std::string message = "the file cannot be written: " + reason(error);
  if (error == EROFS) return environment_error(message, path.string(), "Have the file system mounted for writing.");
  if (error == EACCES || error == EPERM)
    return environment_error(message, path.string(), "Choose a folder that you may write to.");
  if (error == EIO)
    return environment_error(message, path.string(),
                             "The disk, or the way to it, is broken: the system's log says more.");
  return run_error(message, path.string());
}

/// Calls `consume(chunk)` for the file's bytes in order; it returns a Status.
template <class Consume>
Status for_each_chunk(const fs::path& path, Consume&& consume) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return read_failed(path, errno);
  std::vector<char> chunk(kChunkBytes);
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return read_failed(path, errno);
    if (got == 0) return {};
    PLUMBLINE_TRY(consume(std::string_view(chunk.data(), static_cast<std::size_t>(got))));
  }
}

/// 0 or errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// Creates `path`, which must not exist, on the disk with what `write(descriptor)` writes (it returns 0 or errno); on
/// an error it is gone again. 0 or errno.
template <class Write>
int write_new_file(const fs::path& path, mode_t mode, const Write& write) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file) return errno;
  int error = write(file.get());
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (error == 0) error = file.close();
  if (error != 0) ::unlink(path.c_str());
  return error;
}

/// Moves `end` back to just after the last newline before it. 0 or errno.
int end_of_whole_lines(int fd, off_t& end) {
  std::array<char, 4096> block{};
  while (end > 0) {
    const off_t start = std::max<off_t>(0, end - static_cast<off_t>(block.size()));
    const ssize_t got = ::pread(fd, block.data(), static_cast<std::size_t>(end - start), start);
    if (got < 0 && errno == EINTR) continue;
    if (got != end - start) return got < 0 ? errno : EIO;
    const auto newline = std::string_view(block.data(), static_cast<std::size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) {
      end = start + static_cast<off_t>(newline) + 1;
      return 0;
    }
    end = start;
  }
  return 0;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

/// A name beside `path` that nothing has.
fs::path temporary_beside(const fs::path& path) {
  fs::path temporary = folder_of(path) / ".";
  temporary += path.filename();
  temporary += ".";
  temporary += to_hex(random_bytes(8));
  temporary += ".tmp";
  return temporary;
}

/// The file gets its name, on the disk; on an error it is gone.
Status put_in_place(const fs::path& temporary, const fs::path& path) {
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return write_failed(path, error);
  }
  return fsync_path(folder_of(path));
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    PLUMBLINE_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "SHA-256 cannot start");
  }
  void add(std::string_view bytes) {
    PLUMBLINE_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-256 failed");
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    PLUMBLINE_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1, "SHA-256 failed");
    return to_hex({reinterpret_cast<const char*>(digest.data()), size});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

}  // namespace

Result<std::string> read_file(const fs::path& path, std::uint64_t max_bytes) {
  std::error_code ec;
  std::string bytes;
  if (const auto size = fs::file_size(path, ec); !ec) bytes.reserve(std::min<std::uint64_t>(size, max_bytes));
  // The size may be unknown (a pipe) or grow while we read: only what has been read counts.
  PLUMBLINE_TRY(for_each_chunk(path, [&](std::string_view chunk) -> Status {
    if (chunk.size() > max_bytes - bytes.size())
      return data_error("the file is larger than " + std::to_string(max_bytes) + " bytes", path.string());
    bytes += chunk;
    return {};
  }));
  return bytes;
}

Status write_file_atomically(const fs::path& path, std::string_view bytes) {
  const fs::path temporary = temporary_beside(path);
  if (const int error = write_new_file(temporary, 0666, [&](int fd) { return write_all(fd, bytes); }))
    return write_failed(path, error);
  return put_in_place(temporary, path);
}

Result<std::string> write_file_hashed(const fs::path& path, std::string_view bytes,
                                      const std::function<bool()>& go_on) {
  const fs::path temporary = temporary_beside(path);
  Sha256 sha;
  const auto write = [&](int fd) {
    for (std::size_t at = 0; at < bytes.size(); at += kBlockBytes) {
      if (!go_on()) return ECANCELED;
      const std::string_view block = bytes.substr(at, kBlockBytes);
      sha.add(block);
      if (const int error = write_all(fd, block)) return error;
      // Now and then, so that go_on is asked at all where a disk is slow.
      if ((at + kBlockBytes) % kSyncedBytes == 0 && ::fdatasync(fd) != 0) return errno;
    }
    return 0;
  };
  if (const int error = write_new_file(temporary, 0666, write)) return write_failed(path, error);
  if (!go_on()) {
    ::unlink(temporary.c_str());
    return write_failed(path, ECANCELED);
  }
  PLUMBLINE_TRY(put_in_place(temporary, path));
  return sha.hex();
}

Status write_private_file(const fs::path& path, std::string_view bytes) {
  const int error = write_new_file(path, 0600, [&](int fd) { return write_all(fd, bytes); });
  if (error == EEXIST) return usage_error("the file exists already", path.string());
  if (error != 0) return write_failed(path, error);
  return fsync_path(folder_of(path));
}

Status append_line(const fs::path& path, std::string_view line) {
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file) return write_failed(path, errno);
  struct stat before {};
  if (::fstat(file.get(), &before) != 0) return write_failed(path, errno);
  off_t end = before.st_size;
  if (const int error = end_of_whole_lines(file.get(), end)) return write_failed(path, error);
  if (end != before.st_size && ::ftruncate(file.get(), end) != 0) return write_failed(path, errno);
  std::string bytes(line);
  bytes += '\n';
  if (const int error = write_all(file.get(), bytes)) {
    // Half a line is worse than none. If even this fails, the next append or the reader passes the rest over.
    static_cast<void>(::ftruncate(file.get(), end) == 0);
    return write_failed(path, error);
  }
  return {};
}

Status fsync_path(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return read_failed(path, errno);
  if (::fsync(file.get()) != 0) return write_failed(path, errno);
  return {};
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 sha;
  sha.add(bytes);
  return sha.hex();
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  return sha256_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Result<std::string> sha256_file(const fs::path& path) {
  Sha256 sha;
  PLUMBLINE_TRY(for_each_chunk(path, [&](std::string_view chunk) -> Status {
    sha.add(chunk);
    return {};
  }));
  return sha.hex();
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  PLUMBLINE_CHECK(
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest.data(), &size) != nullptr,
      "HMAC-SHA256 failed");
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string random_bytes(std::size_t n) {
  std::string bytes(n, '\0');
  for (std::size_t at = 0; at < n;) {
    const ssize_t got = ::getrandom(bytes.data() + at, n - at, 0);
    if (got < 0 && errno == EINTR) continue;
    PLUMBLINE_CHECK(got > 0, "the system gives no random bytes");
    at += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

bool is_hex(std::string_view text, std::size_t min_digits, std::size_t max_digits) {
  return text.size() >= min_digits && text.size() <= max_digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

bool is_inner_path(std::string_view path) {
  if (path.size() > 4096) return false;
  for (std::size_t start = 0;;) {
    const std::size_t end = path.find('/', start);
    if (!is_file_name(path.substr(start, end == std::string_view::npos ? end : end - start))) return false;
    if (end == std::string_view::npos) return true;
    start = end + 1;
  }
}

}  // namespace plumbline
