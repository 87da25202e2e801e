// Faults at chosen system calls of a program that knows nothing of them: preloaded (LD_PRELOAD), it counts a process's
// calls of one kind and has the Nth one die, fail or hang. Tests only; tests/e2e/fault_library.py sets the variables.
//
//   PLUMBLINE_FAULT_PROGRAM  the program that counts, by its file's name; others pass
//   PLUMBLINE_FAULT_ROOT     calls that change files below this folder count, but for what is below a folder logs/
//   PLUMBLINE_FAULT_KIND     "files" (above; the default), or "mesh": what a worker sends to and receives from workers
//   PLUMBLINE_FAULT_ARGUMENTS only a process that has these words, which spaces part, on its command line counts
//   PLUMBLINE_FAULT_CALL     only calls of this name count: open, write, rename, …, send, recv
//   PLUMBLINE_FAULT_LEAST    of the mesh's, only calls for at least this many bytes count
//   PLUMBLINE_FAULT_AT       number of the call, from 1; absent: none, calls are only counted
//   PLUMBLINE_FAULT_DO       "before": SIGKILL before the call; "half": SIGKILL after a write of half its bytes (as
//                            before where it is no write); "after": SIGKILL after it; "hang": the call never returns;
//                            a number: the call fails with this errno
//   PLUMBLINE_FAULT_LASTS    present: every call from that one on fails, not only that one
//   PLUMBLINE_FAULT_TOKEN    a file that is made by the first process that comes to the call; others pass it
//   PLUMBLINE_FAULT_MEMORY   no tensor of this many bytes or more can be had (posix_memalign)
//   PLUMBLINE_FAULT_SINCE    … once this file is there
//   PLUMBLINE_FAULT_LIST     a file that every counted call is written to: number, name, path, "!" where the fault was
//
// Only what programs call themselves is seen, not what the C library calls inside (buffered writes of a FILE).
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>

namespace {

enum class Kind { kFiles, kMesh };
enum class Deed { kNone, kBefore, kHalf, kAfter, kHang, kFail };

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool has_arguments(std::string sought) {
  if (sought.empty()) return true;
  for (char& c : sought)
    if (c == ' ') c = '\0';
  const int file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY));
  char text[65536];
  const long got = ::syscall(SYS_read, file, text, sizeof text);
  ::syscall(SYS_close, file);
  const std::string words = std::string(1, '\0') + std::string(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  return words.find(std::string(1, '\0') + sought + '\0') != std::string::npos;
}

struct Plan {
  bool counts = false, lasts = false;
  std::string root, token, list, call, since;
  Kind kind = Kind::kFiles;
  long at = 0, least = 0, memory = 0;
  Deed deed = Deed::kNone;
  int error = 0;

  Plan() {
    counts = variable("PLUMBLINE_FAULT_PROGRAM") == program_invocation_short_name &&
             has_arguments(variable("PLUMBLINE_FAULT_ARGUMENTS"));
    root = variable("PLUMBLINE_FAULT_ROOT");
    token = variable("PLUMBLINE_FAULT_TOKEN");
    list = variable("PLUMBLINE_FAULT_LIST");
    call = variable("PLUMBLINE_FAULT_CALL");
    least = std::atol(variable("PLUMBLINE_FAULT_LEAST").c_str());
    memory = std::atol(variable("PLUMBLINE_FAULT_MEMORY").c_str());
    since = variable("PLUMBLINE_FAULT_SINCE");
    lasts = std::getenv("PLUMBLINE_FAULT_LASTS") != nullptr;
    if (variable("PLUMBLINE_FAULT_KIND") == "mesh") kind = Kind::kMesh;
    at = std::atol(variable("PLUMBLINE_FAULT_AT").c_str());
    const std::string word = variable("PLUMBLINE_FAULT_DO");
    error = std::atoi(word.c_str());
    deed = word == "before"  ? Deed::kBefore
           : word == "half"  ? Deed::kHalf
           : word == "after" ? Deed::kAfter
           : word == "hang"  ? Deed::kHang
           : error > 0       ? Deed::kFail
                             : Deed::kNone;
  }
};

const Plan& plan() {
  static const Plan* const made = new Plan;  // Never destroyed: calls come until the very end.
  return *made;
}

std::atomic<long> counted{0};
std::atomic<bool> has_come{false};  ///< this process met the fault

/// The first process that comes to the fault takes it.
bool takes_token() {
  if (plan().token.empty()) return true;
  const long file = ::syscall(SYS_openat, AT_FDCWD, plan().token.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
  if (file >= 0) ::syscall(SYS_close, file);
  return file >= 0;
}

void list(long number, const char* call, const std::string& what, bool is_fault) {
  if (plan().list.empty()) return;
  const std::string line = std::to_string(number) + " " + call + " " + what + (is_fault ? " !\n" : "\n");
  const long file = ::syscall(SYS_openat, AT_FDCWD, plan().list.c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644);
  ::syscall(SYS_write, file, line.data(), line.size());
  ::syscall(SYS_close, file);
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// Counts one call; what is to become of it. `is_write`: half of it can be done.
Deed next(const char* call, const std::string& what, bool is_write) {
  if (!plan().call.empty() && plan().call != call) return Deed::kNone;
  const int before = errno;
  const long number = ++counted;
  bool is_fault = plan().deed != Deed::kNone && number == plan().at && takes_token();
  if (is_fault) has_come = true;
  is_fault = is_fault || (plan().lasts && has_come);
  list(number, call, what, is_fault);
  errno = before;
  if (!is_fault) return Deed::kNone;
  if (plan().deed == Deed::kBefore || (plan().deed == Deed::kHalf && !is_write)) die();
  if (plan().deed == Deed::kHang)
    for (;;) ::pause();
  return plan().deed;
}

/// `make` does the call, all of it; `half` half of it.
template <class Make, class Half>
auto with_fault(Deed deed, Make make, Half half) -> decltype(make()) {
  if (deed == Deed::kFail) {
    errno = plan().error;
    return static_cast<decltype(make())>(-1);
  }
  if (deed == Deed::kHalf) {
    half();
    die();
  }
  const auto result = make();
  if (deed == Deed::kAfter) die();
  return result;
}
template <class Make>
auto with_fault(Deed deed, Make make) -> decltype(make()) {
  return with_fault(deed, make, [] {});
}

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

std::string link_of(const std::string& place) {
  char target[PATH_MAX];
  const long got = ::syscall(SYS_readlinkat, AT_FDCWD, place.c_str(), target, sizeof target);
  return got > 0 ? std::string(target, static_cast<std::size_t>(got)) : std::string();
}
std::string path_of(int descriptor) { return link_of("/proc/self/fd/" + std::to_string(descriptor)); }
std::string path_of(int folder, const char* path) {
  if (path == nullptr) return {};
  if (*path == '/') return path;
  const std::string base = folder == AT_FDCWD ? link_of("/proc/self/cwd") : path_of(folder);
  return base + "/" + path;
}

bool is_counted(const std::string& path) {
  if (!plan().counts || plan().kind != Kind::kFiles || plan().root.empty()) return false;
  if (!path.starts_with(plan().root + "/") && path != plan().root) return false;
  return path.find("/logs/", plan().root.size()) == std::string::npos;
}
std::string shown(const std::string& path) { return path.substr(std::min(path.size(), plan().root.size())); }

/// A call that changes what `path` names.
template <class Make, class Half>
auto change(const char* call, const std::string& path, Make make, Half half, bool is_write) -> decltype(make()) {
  if (!is_counted(path)) return make();
  return with_fault(next(call, shown(path), is_write), make, half);
}
template <class Make>
auto change(const char* call, const std::string& path, Make make) -> decltype(make()) {
  return change(
      call, path, make, [] {}, /*is_write=*/false);
}
template <class Make, class Half>
auto change_by_write(const char* call, int descriptor, Make make, Half half) -> decltype(make()) {
  if (!plan().counts || plan().kind != Kind::kFiles) return make();
  return change(call, path_of(descriptor), make, half, /*is_write=*/true);
}

bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0; }

int opened(const char* call, int folder, const char* path, int flags, mode_t mode) {
  const auto make = [&] { return static_cast<int>(::syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode)); };
  return writes(flags) && plan().counts ? change(call, path_of(folder, path), make) : make();
}

// --- the mesh: a worker's connections but for the first, which is to the coordinator, and those of its reader thread,
// which looks for another coordinator

std::mutex mesh_mutex;
std::set<int>& mesh() {
  static auto* const sockets = new std::set<int>;
  return *sockets;
}
bool connected_before = false;

void note_socket(int socket, bool is_mesh) {
  const std::lock_guard lock(mesh_mutex);
  if (is_mesh)
    mesh().insert(socket);
  else
    mesh().erase(socket);
}
bool is_mesh(int socket, std::size_t bytes) {
  if (!plan().counts || plan().kind != Kind::kMesh || static_cast<long>(bytes) < plan().least) return false;
  const std::lock_guard lock(mesh_mutex);
  return mesh().contains(socket);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened("open", AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened("open", AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened("open", folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened("open", folder, path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t size) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t)>("write");
  return change_by_write(
      "write", file, [&] { return call(file, bytes, size); }, [&] { call(file, bytes, size / 2); });
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return change_by_write(
      "pwrite", file, [&] { return call(file, bytes, size, offset); }, [&] { call(file, bytes, size / 2, offset); });
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t offset) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return change_by_write(
      "pwrite", file, [&] { return call(file, bytes, size, offset); }, [&] { call(file, bytes, size / 2, offset); });
}
ssize_t writev(int file, const iovec* pieces, int count) {
  static const auto call = real<ssize_t (*)(int, const iovec*, int)>("writev");
  return change_by_write(
      "writev", file, [&] { return call(file, pieces, count); }, [&] { call(file, pieces, (count + 1) / 2); });
}

int fsync(int file) {
  static const auto call = real<int (*)(int)>("fsync");
  return plan().counts ? change("fsync", path_of(file), [&] { return call(file); }) : call(file);
}
int fdatasync(int file) {
  static const auto call = real<int (*)(int)>("fdatasync");
  return plan().counts ? change("fdatasync", path_of(file), [&] { return call(file); }) : call(file);
}
int ftruncate(int file, off_t size) noexcept {
  static const auto call = real<int (*)(int, off_t)>("ftruncate");
  return plan().counts ? change("ftruncate", path_of(file), [&] { return call(file, size); }) : call(file, size);
}
int ftruncate64(int file, off64_t size) noexcept {
  static const auto call = real<int (*)(int, off64_t)>("ftruncate64");
  return plan().counts ? change("ftruncate", path_of(file), [&] { return call(file, size); }) : call(file, size);
}

int rename(const char* from, const char* to) noexcept {
  static const auto call = real<int (*)(const char*, const char*)>("rename");
  return change("rename", path_of(AT_FDCWD, to), [&] { return call(from, to); });
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  static const auto call = real<int (*)(int, const char*, int, const char*)>("renameat");
  return change("rename", path_of(to_folder, to), [&] { return call(from_folder, from, to_folder, to); });
}
int unlink(const char* path) noexcept {
  static const auto call = real<int (*)(const char*)>("unlink");
  return change("unlink", path_of(AT_FDCWD, path), [&] { return call(path); });
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto call = real<int (*)(int, const char*, int)>("unlinkat");
  return change("unlink", path_of(folder, path), [&] { return call(folder, path, flags); });
}
int remove(const char* path) noexcept {
  static const auto call = real<int (*)(const char*)>("remove");
  return change("unlink", path_of(AT_FDCWD, path), [&] { return call(path); });
}
int rmdir(const char* path) noexcept {
  static const auto call = real<int (*)(const char*)>("rmdir");
  return change("rmdir", path_of(AT_FDCWD, path), [&] { return call(path); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  static const auto call = real<int (*)(const char*, mode_t)>("mkdir");
  return change("mkdir", path_of(AT_FDCWD, path), [&] { return call(path, mode); });
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  static const auto call = real<int (*)(void**, size_t, size_t)>("posix_memalign");
  // A small one may be asked for before the plan can be made.
  if (size < 4096 || plan().memory <= 0 || size < static_cast<size_t>(plan().memory) || !plan().counts)
    return call(memory, alignment, size);
  const int before = errno;
  const bool is_since = plan().since.empty() || ::access(plan().since.c_str(), F_OK) == 0;
  errno = before;
  return is_since ? ENOMEM : call(memory, alignment, size);
}
int connect(int socket, const sockaddr* address, socklen_t size) {
  static const auto call = real<int (*)(int, const sockaddr*, socklen_t)>("connect");
  if (plan().counts && plan().kind == Kind::kMesh) {
    const bool computes = ::syscall(SYS_gettid) == ::getpid();
    note_socket(socket, computes && connected_before);
    if (computes) connected_before = true;
  }
  return call(socket, address, size);
}
int accept4(int listener, sockaddr* address, socklen_t* size, int flags) {
  static const auto call = real<int (*)(int, sockaddr*, socklen_t*, int)>("accept4");
  const int socket = call(listener, address, size, flags);
  if (socket >= 0 && plan().counts && plan().kind == Kind::kMesh) note_socket(socket, true);
  return socket;
}
ssize_t send(int socket, const void* bytes, size_t size, int flags) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t, int)>("send");
  const auto make = [&] { return call(socket, bytes, size, flags); };
  if (!is_mesh(socket, size)) return make();
  return with_fault(next("send", std::to_string(size), /*is_write=*/true), make,
                    [&] { call(socket, bytes, size / 2, flags); });
}
ssize_t recv(int socket, void* bytes, size_t size, int flags) {
  static const auto call = real<ssize_t (*)(int, void*, size_t, int)>("recv");
  const auto make = [&] { return call(socket, bytes, size, flags); };
  if (!is_mesh(socket, size)) return make();
  return with_fault(next("recv", std::to_string(size), /*is_write=*/false), make);
}
}
