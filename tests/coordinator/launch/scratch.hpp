// A scratch folder, small shell scripts that stand in for programs, and environment variables that are put back.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace plumbline {

class Scratch : public ::testing::Test {
 protected:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "plumbline-launch-XXXXXX").string();
    dir_ = mkdtemp(name.data());
  }
  ~Scratch() override { std::filesystem::remove_all(dir_); }

  std::filesystem::path script(const std::string& name, const std::string& body) const {
    const auto path = dir_ / name;
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  static std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Waits, under a deadline, for a named pipe's first line: how a script says that it has come to a point.
  static std::string first_line(const std::filesystem::path& fifo) {
    std::ifstream in(fifo);
    std::string line;
    std::getline(in, line);
    return line;
  }
  static bool readable(int fd, int timeout_ms = 20000) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, timeout_ms) == 1;
  }

  std::filesystem::path dir_;
};

class WithVariable {
 public:
  WithVariable(const char* name, const std::optional<std::string>& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~WithVariable() { set(before_); }
  WithVariable(const WithVariable&) = delete;
  WithVariable& operator=(const WithVariable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value)
      setenv(name_, value->c_str(), 1);
    else
      unsetenv(name_);
  }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace plumbline
