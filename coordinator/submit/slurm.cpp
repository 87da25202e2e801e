#include "coordinator/submit/slurm.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <regex>
#include <sstream>
#include <vector>

#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

/// What the program printed, both streams. An environment error with its last words when it fails.
Result<std::string> output_of(const std::vector<std::string>& words) {
  if (!find_program(words.front()))
    return environment_error("Slurm's program " + words.front() + " is not in the PATH", "",
                             "Call plumbline on a host of the cluster where jobs are submitted.");
  std::FILE* pipe = ::popen((shell_quote(words) + " 2>&1 </dev/null").c_str(), "re");
  if (pipe == nullptr) return environment_error(words.front() + " cannot be started");
  std::string text;
  std::array<char, 4096> part{};
  for (std::size_t n = 0; (n = std::fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), n);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return environment_error(words.front() + " failed: " + (text.empty() ? "it said nothing" : text));
}

}  // namespace

bool is_job_id(const std::string& text) {
  static const std::regex kId(R"(\d{1,10}(_\d{1,7})?)");
  return std::regex_match(text, kId);
}

Result<std::string> sbatch(const std::string& script) {
  PLUMBLINE_ASSIGN(const std::string text, output_of({"sbatch", "--parsable", script}));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {  // among a site's notices: "123" or "123;cluster"
    const std::string id = line.substr(0, line.find(';'));
    if (is_job_id(id)) return id;
  }
  return environment_error("sbatch did not say which job it made: " + text);
}

Status signal_job(const std::string& job) {
  PLUMBLINE_TRY(output_of({"scancel", "--signal=TERM", "--batch", job}));
  return {};
}

Status cancel_job(const std::string& job) {
  PLUMBLINE_TRY(output_of({"scancel", job}));
  return {};
}

Result<std::string> job_state(const std::string& job) {
  const auto text = output_of({"squeue", "--noheader", "--jobs=" + job, "--format=%T"});
  if (text.has_error()) {  // A job that ended a while ago is "Invalid job id".
    if (text.error().message.find("Invalid job id") != std::string::npos) return std::string();
    return text.error();
  }
  return text->substr(0, text->find_first_of(" \n"));
}

Result<std::string> job_comment(const std::string& job) {
  PLUMBLINE_ASSIGN(const std::string text, output_of({"scontrol", "--oneliner", "show", "job", job}));
  // The fields have no quotes; a comment ends where the next field begins.
  static const std::regex kComment(R"( Comment=(.*?)(?=\s+[A-Za-z:/]+=|\s*$))");
  std::smatch found;
  const std::string first = text.substr(0, text.find('\n'));
  return std::regex_search(first, found, kComment) ? found[1].str() : std::string();
}

}  // namespace plumbline
