// A scratch folder, and commands run as main() runs them.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "coordinator/command/command.hpp"

namespace plumbline {

class ScratchFolder : public ::testing::Test {
 protected:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "plumbline-command-XXXXXX").string();
    dir_ = mkdtemp(name.data());
  }
  ~ScratchFolder() override { std::filesystem::remove_all(dir_); }
  static void write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static void append(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::app) << text;
  }
  static std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::filesystem::path dir_;
};

/// The words after `plumbline`; a wrong command line throws CLI::ParseError.
inline Status run_command(void (*add)(CLI::App&, CommandBody&), std::vector<std::string> words) {
  CLI::App app;
  CommandBody body;
  add(app, body);
  std::reverse(words.begin(), words.end());
  app.parse(words);
  return body();
}

}  // namespace plumbline
