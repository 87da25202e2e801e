#include "coordinator/curate/line_reader.hpp"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/core/utf8.hpp"

namespace plumbline {

/// Where bytes come from.
class LineReader::Bytes {
 public:
  virtual ~Bytes() = default;
  /// Appends some bytes; false at the end.
  virtual Result<bool> append(std::string& buffer) = 0;
};

/// zlib reads gzipped and plain files alike.
class LineReader::FileBytes final : public LineReader::Bytes {
 public:
  FileBytes(gzFile file, std::string name) : file_(file), name_(std::move(name)) {}
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes() override { gzclose_r(file_); }

  Result<bool> append(std::string& buffer) override {
    constexpr std::size_t kChunk = 256u << 10;
    const std::size_t before = buffer.size();
    buffer.resize(before + kChunk);
    const int got = gzread(file_, buffer.data() + before, static_cast<unsigned>(kChunk));
    buffer.resize(before + static_cast<std::size_t>(std::max(got, 0)));
    if (got > 0) return true;
    int code = Z_OK;
    const std::string reason = gzerror(file_, &code);
    if (code == Z_OK || code == Z_STREAM_END) return false;
    if (code == Z_BUF_ERROR) return data_error("the compressed file is cut short", name_, "Fetch the file again.");
    if (code == Z_ERRNO) return data_error(std::string("the file cannot be read: ") + std::strerror(errno), name_);
    return data_error("the compressed file is damaged: " + reason, name_, "Fetch the file again.");
  }

 private:
  gzFile file_;
  std::string name_;
};

/// What a pipe holds is taken at once: zlib would wait for more until its buffer is full.
class LineReader::StandardInputBytes final : public LineReader::Bytes {
 public:
  explicit StandardInputBytes(std::string name) : name_(std::move(name)) {}
  Result<bool> append(std::string& buffer) override {
    constexpr std::size_t kChunk = 64u << 10;
    const std::size_t before = buffer.size();
    buffer.resize(before + kChunk);
    ssize_t got = 0;
    do got = ::read(STDIN_FILENO, buffer.data() + before, kChunk);
    while (got < 0 && errno == EINTR);
    buffer.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return data_error(std::string("it cannot be read: ") + std::strerror(errno), name_);
    return got > 0;
  }

 private:
  std::string name_;
};

class LineReader::MemoryBytes final : public LineReader::Bytes {
 public:
  explicit MemoryBytes(std::string_view text) : text_(text) {}
  Result<bool> append(std::string& buffer) override {
    const bool more = !text_.empty();
    buffer += std::exchange(text_, {});
    return more;
  }

 private:
  std::string_view text_;
};

LineReader::LineReader(std::unique_ptr<Bytes> bytes, std::string name)
    : bytes_(std::move(bytes)), name_(std::move(name)) {}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

Result<LineReader> LineReader::open(const std::filesystem::path& file) {
  errno = 0;
  gzFile handle = gzopen(file.c_str(), "rb");
  if (handle == nullptr)
    return data_error(std::string("the file cannot be read: ") + std::strerror(errno != 0 ? errno : ENOMEM),
                      file.string());
  return LineReader(std::make_unique<FileBytes>(handle, file.string()), file.string());
}

LineReader LineReader::standard_input() {
  const std::string name = "standard input";
  return {std::make_unique<StandardInputBytes>(name), name};
}

LineReader LineReader::over(std::string_view text, std::string name) {
  return {std::make_unique<MemoryBytes>(text), std::move(name)};
}

Result<bool> LineReader::fill() {
  buffer_.erase(0, std::exchange(start_, 0));
  if (buffer_.size() > kMaxLineBytes)
    return data_error("the line is longer than " + std::to_string(kMaxLineBytes) + " bytes", where(line_ + 1),
                      "Is this a file of lines?");
  return bytes_->append(buffer_);
}

Result<std::optional<std::string_view>> LineReader::next() {
  std::size_t searched = 0, end = std::string::npos;
  while ((end = buffer_.find('\n', start_ + searched)) == std::string::npos && !ended_) {
    searched = buffer_.size() - start_;
    PLUMBLINE_ASSIGN(const bool more, fill());
    ended_ = !more;
  }
  if (end == std::string::npos && start_ == buffer_.size()) return std::optional<std::string_view>();
  std::string_view line = std::string_view(buffer_).substr(start_, end == std::string::npos ? end : end - start_);
  start_ = end == std::string::npos ? buffer_.size() : end + 1;
  ++line_;
  if (line.size() > kMaxLineBytes)
    return data_error("the line is longer than " + std::to_string(kMaxLineBytes) + " bytes", where(),
                      "Is this a file of lines?");
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  if (const std::size_t at = first_invalid_utf8(line); at != line.size())
    return data_error("byte " + std::to_string(at + 1) + " of the line is not valid UTF-8", where(),
                      "Save the file as UTF-8.");
  return std::optional<std::string_view>(line);
}

}  // namespace plumbline
