#include "coordinator/command/options.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace plumbline {

Result<std::vector<Override>> parse_overrides(const std::vector<std::string>& set) {
  std::vector<Override> overrides;
  for (const std::string& item : set) {
    const auto equals = item.find('=');
    if (equals == std::string::npos || equals == 0)
      return usage_error(fmt::format("--set {} has no value", item), "",
                         "Write it as --set key=value, for example --set train.steps=200.");
    overrides.push_back({item.substr(0, equals), item.substr(equals + 1)});
  }
  return overrides;
}

Override text_override(std::string key, const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted.append(c == '\'' ? 2 : 1, c);
  return {std::move(key), quoted + "'"};
}

Result<std::filesystem::path> default_run_directory(const RunConfig& config) {
  namespace fs = std::filesystem;
  if (config.name.empty() || config.name == "." || config.name == ".." ||
      fs::path(config.name).filename() != config.name)
    return usage_error(fmt::format("the run's name, \"{}\", names no directory", config.name), "name",
                       "Say with --run where the run goes.");
  return fs::path("runs") / config.name;
}

void print_outcome(const RunLayout& layout, const RunOutcome& outcome) {
  std::printf("%s", fmt::format("step            {}\nweights_sha256  {}\nreport          {}\n", outcome.step.value(),
                                outcome.weights_sha256, layout.report().string())
                        .c_str());
  std::fflush(stdout);
}

}  // namespace plumbline
