// What the curation tests share: a scratch folder, a sink that remembers, and pooled examples from a few words.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/curate/importer.hpp"
#include "coordinator/curate/pool.hpp"

namespace plumbline {

/// A folder that goes with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "plumbline-curate-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  /// Names of everything in the folder itself, hidden names too.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string file_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class RememberingSink final : public ImportSink {
 public:
  Status take(Imported example) override {
    examples.push_back(std::move(example));
    return {};
  }
  void leave_out(Reason reason, std::int64_t line) override { left_out.emplace_back(reason, line); }

  std::vector<Imported> examples;
  std::vector<std::pair<Reason, std::int64_t>> left_out;
};

/// Runs an importer over text named "file".
inline Status import_text(const Importer& importer, std::string_view text, RememberingSink& sink) {
  LineReader lines = LineReader::over(text, "file");
  return importer.read(lines, sink);
}

/// The error that importing `text` must give.
inline Error import_error(const Importer& importer, std::string_view text) {
  RememberingSink sink;
  const Status status = import_text(importer, text, sink);
  EXPECT_FALSE(status.has_value()) << "no error for:\n" << text;
  return status.has_value() ? Error{} : status.error();
}

/// An example of norm `norm`; an empty side is absent.
inline PooledExample pooled(const std::string& source, const std::string& desired, const std::string& undesired = "",
                            std::uint16_t norm = 0) {
  PooledExample pooled;
  pooled.norm = norm;
  pooled.example.norm = "norm" + std::to_string(norm);
  pooled.example.source = source;
  pooled.example.desired = desired;
  pooled.example.undesired = undesired;
  finish(pooled.example, !desired.empty(), !undesired.empty());
  return pooled;
}

}  // namespace plumbline
