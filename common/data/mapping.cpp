#include "common/data/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace plumbline {

Result<Mapping> Mapping::map(const std::filesystem::path& file) {
  const auto failed = [&](int reason) {
    return data_error(std::string("the file cannot be mapped: ") + std::strerror(reason), file.string());
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(errno);
  struct stat status {};
  void* data = MAP_FAILED;
  if (::fstat(fd, &status) == 0) {
    if (status.st_size == 0) {
      ::close(fd);
      return Mapping(nullptr, 0);
    }
    data = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  }
  const int reason = errno;
  ::close(fd);
  if (data == MAP_FAILED) return failed(reason);
  return Mapping(static_cast<const std::byte*>(data), static_cast<std::size_t>(status.st_size));
}

Mapping::Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {
  other.size_ = 0;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace plumbline
