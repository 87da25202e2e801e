#include "common/core/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "common/core/clock.hpp"

namespace plumbline {

namespace {

struct LevelName {
  std::string_view option, printed;
  spdlog::level::level_enum level;
};
constexpr std::array<LevelName, 5> kLevels{{{"trace", "TRACE", spdlog::level::trace},
                                            {"debug", "DEBUG", spdlog::level::debug},
                                            {"info", "INFO", spdlog::level::info},
                                            {"warn", "WARN", spdlog::level::warn},
                                            {"error", "ERROR", spdlog::level::err}}};

std::string_view printed_name(spdlog::level::level_enum level) {
  for (const auto& name : kLevels)
    if (name.level == level) return name.printed;
  return "ERROR";
}

std::optional<spdlog::level::level_enum> parse_level(std::string_view option) {
  for (const auto& name : kLevels)
    if (name.option == option) return name.level;
  return std::nullopt;
}

enum class Stamp { kNone, kTime };

/// "[TIME ]LEVEL message". A message of several lines stays one line: what follows a log reads line by line.
class LineFormatter : public spdlog::formatter {
 public:
  explicit LineFormatter(Stamp stamp) : stamp_(stamp) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    if (stamp_ == Stamp::kTime) append(line, utc_now() + " ");
    append(line, printed_name(message.level));
    line.push_back(' ');
    for (const char c : std::string_view(message.payload.data(), message.payload.size())) {
      if (c == '\n')
        append(line, "\\n");
      else if (c == '\r')
        append(line, "\\r");
      else
        line.push_back(c);
    }
    line.push_back('\n');
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(stamp_);
  }

 private:
  static void append(spdlog::memory_buf_t& line, std::string_view text) {
    line.append(text.data(), text.data() + text.size());
  }
  Stamp stamp_;
};

template <class Sink, class... Arguments>
spdlog::sink_ptr make_sink(Stamp stamp, Arguments&&... arguments) {
  auto sink = std::make_shared<Sink>(std::forward<Arguments>(arguments)...);
  sink->set_formatter(std::make_unique<LineFormatter>(stamp));
  return sink;
}

}  // namespace

Status init_log(const LogOptions& options) {
  const auto level = parse_level(options.level);
  if (!level)
    return usage_error("there is no log level \"" + options.level + "\"", {},
                       "The levels are trace, debug, info, warn and error.");
  try {
    std::vector<spdlog::sink_ptr> sinks;
    if (options.standard_error) sinks.push_back(make_sink<spdlog::sinks::stderr_sink_mt>(Stamp::kNone));
    if (!options.file.empty()) {
      const auto folder = options.file.has_parent_path() ? options.file.parent_path() : std::filesystem::path(".");
      std::error_code ec;
      if (!std::filesystem::is_directory(folder, ec))
        return environment_error("the folder of the log file does not exist", options.file.string());
      sinks.push_back(make_sink<spdlog::sinks::basic_file_sink_mt>(Stamp::kTime, options.file.string()));
    }
    auto logger = std::make_shared<spdlog::logger>("plumbline", sinks.begin(), sinks.end());
    logger->set_level(*level);
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
  } catch (const std::exception& e) {
    return environment_error(std::string("the log file cannot be opened: ") + e.what(), options.file.string());
  }
  return {};
}

}  // namespace plumbline
