// `srun`: workers on the hosts of a Slurm job, each a step of its own in an elastic group. The steps overlap, so a lost
// worker's place is free at once; Slurm's step daemon is what looks after a worker on its host.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "common/core/files.hpp"
#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// A controller that has just lost a node may take long to answer; the coordinator does not wait for it.
constexpr const char* kAnswerSeconds = "3";
/// What Slurm said of its nodes is believed for so long.
constexpr std::chrono::seconds kBelieved{3};

/// What a program of Slurm's prints; empty where it fails or takes too long. The words are ours, or names that Slurm
/// gave.
std::string output_of(std::vector<std::string> words) {
  words.insert(words.begin(), {"timeout", kAnswerSeconds});
  std::FILE* pipe = ::popen((shell_quote(words) + " 2>/dev/null").c_str(), "re");
  if (pipe == nullptr) return {};
  std::string text;
  std::array<char, 4096> block{};
  for (std::size_t got = 0; (got = std::fread(block.data(), 1, block.size(), pipe)) > 0;)
    text.append(block.data(), got);
  return ::pclose(pipe) == 0 ? text : std::string();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (!line.empty()) lines.push_back(line);
  return lines;
}

/// A step: its srun process here, and its worker somewhere.
class Step final : public WorkerGroup {
 public:
  Step(std::unique_ptr<WorkerGroup> srun, std::string job, std::string name, boost::asio::thread_pool& errands)
      : srun_(std::move(srun)), job_(std::move(job)), name_(std::move(name)), errands_(errands) {}
  [[nodiscard]] int pidfd() const override { return srun_->pidfd(); }
  [[nodiscard]] std::int64_t pid() const override { return srun_->pid(); }
  GroupExit wait() override { return srun_->wait(); }
  void terminate() override { srun_->terminate(); }
  /// srun would take its time and leave the worker to it; Slurm ends the step at once. The coordinator does not wait.
  void kill() override {
    boost::asio::post(errands_, [job = job_, name = name_] {
      for (const std::string& line : lines_of(output_of({"squeue", "--noheader", "--steps", "--format=%i %j"}))) {
        const std::size_t space = line.find(' ');
        if (space != std::string::npos && line.substr(space + 1) == name && line.starts_with(job + "."))
          static_cast<void>(output_of({"scancel", "--signal=KILL", line.substr(0, space)}));
      }
    });
    srun_->kill();
  }
  void let_go() override { srun_->let_go(); }

 private:
  std::unique_ptr<WorkerGroup> srun_;
  std::string job_, name_;  ///< the name is no other step's
  boost::asio::thread_pool& errands_;
};

class SrunLauncher final : public Launcher {
 public:
  SrunLauncher(WorkerCommand command, int workers, int threads)
      : command_(std::move(command)), workers_(workers), threads_(threads), job_(variable("SLURM_JOB_ID")) {}
  ~SrunLauncher() override { errands_.join(); }
  [[nodiscard]] std::string name() const override { return "srun"; }
  [[nodiscard]] bool elastic() const override { return true; }
  [[nodiscard]] bool chooses_hosts() const override { return true; }
  [[nodiscard]] bool restarts() const override { return true; }

  /// A run may be made on a login node, so only start() asks for a job.
  [[nodiscard]] Status check() const override {
    for (const char* program : {"srun", "scontrol", "squeue", "scancel", "sinfo"})
      if (!find_program(program))
        return environment_error(fmt::format("Slurm's program {} is not in the PATH", program), "workers.launcher",
                                 "Load the cluster's Slurm module, in the batch script too.");
    return check_worker_program(command_.worker);
  }

  [[nodiscard]] std::string command(const LaunchRequest& request) const override {
    return shell_quote(
        argv(request, step_name(request.number), job_.empty() || hosts().empty() ? "HOST" : home_of(request.number)));
  }

  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) override {
    if (job_.empty())
      return environment_error("the launcher srun works inside a Slurm job, and this is none", "workers.launcher",
                               "Submit the run with `plumbline submit`, or take another launcher.");
    if (hosts().empty())
      return environment_error("Slurm does not say which hosts job " + job_ + " has", "SLURM_JOB_NODELIST",
                               "`scontrol show hostnames` is asked.");
    ProcessSpec spec;
    const std::string step = step_name(request.number) + "-" + to_hex(random_bytes(3));
    const std::string host = started_[request.number] = host_for(request);
    spec.argv = argv(request, step, host);
    spec.argv.front() = find_program("srun").value_or("srun");
    spec.environment = worker_environment(request.group, KeepSlurm::kYes);
    spec.log = command_.log;
    spec.outlives = true;
    PLUMBLINE_ASSIGN(auto srun, start_process(spec));
    return std::unique_ptr<WorkerGroup>(std::make_unique<Step>(std::move(srun), job_, step, errands_));
  }

 private:
  [[nodiscard]] const std::vector<std::string>& hosts() const {
    if (hosts_.empty()) hosts_ = lines_of(output_of({"scontrol", "show", "hostnames", variable("SLURM_JOB_NODELIST")}));
    return hosts_;
  }
  /// Workers fill one host after the other.
  [[nodiscard]] std::string home_of(int number) const {
    const auto hosts_count = static_cast<int>(hosts().size());
    const int on_each = std::max((workers_ + hosts_count - 1) / hosts_count, 1);
    return hosts()[static_cast<std::size_t>(std::min(number / on_each, hosts_count - 1))];
  }
  /// Its own, or where that is down or left out the next one that is not.
  [[nodiscard]] std::string host_for(const LaunchRequest& request) {
    const std::string home = home_of(request.number);
    if (const auto last = started_.find(request.number); request.elsewhere && last != started_.end()) {
      if (left_out_.insert(last->second).second)
        spdlog::warn("{} is left out from now on: nothing is launched there any more", last->second);
    }
    const auto begin = std::find(hosts().begin(), hosts().end(), home) - hosts().begin();
    for (std::size_t i = 0; i < hosts().size(); ++i) {
      const std::string& host = hosts()[(static_cast<std::size_t>(begin) + i) % hosts().size()];
      if (!left_out_.contains(host) && is_up(host)) return host;
    }
    return home;
  }
  /// Slurm marks what does not respond with a star, and may still call it allocated.
  [[nodiscard]] bool is_up(const std::string& host) {
    const auto now = std::chrono::steady_clock::now();
    if (states_.empty() || now - asked_ > kBelieved) {
      states_.clear();
      asked_ = now;
      const std::string nodes = "--nodes=" + variable("SLURM_JOB_NODELIST");
      for (const std::string& line : lines_of(output_of({"sinfo", "--noheader", "--Node", nodes, "--format=%N %T"})))
        states_[line.substr(0, line.find(' '))] += line.substr(std::min(line.find(' '), line.size()));
    }
    const std::string& state = states_[host];  // Nothing where Slurm does not answer: then it is tried.
    return state.find("down") == std::string::npos && state.find("fail") == std::string::npos &&
           state.find('*') == std::string::npos;
  }
  [[nodiscard]] static std::string step_name(int number) { return "plumbline-worker-" + std::to_string(number); }

  [[nodiscard]] std::vector<std::string> argv(const LaunchRequest& request, const std::string& step,
                                              const std::string& host) const {
    return {"srun",
            "--overlap",
            "--nodes=1",
            "--ntasks=1",
            "--nodelist=" + host,
            "--cpus-per-task=" + std::to_string(threads_),
            "--cpu-bind=none",
            "--mem=0",
            "--mpi=none",
            "--input=none",
            "--unbuffered",
            "--job-name=" + step,
            command_.worker,
            "--join",
            command_.run,
            "--worker",
            std::to_string(request.number)};
  }

  WorkerCommand command_;
  int workers_, threads_;
  std::string job_;
  mutable std::vector<std::string> hosts_;
  std::map<int, std::string> started_;  ///< the host of each number's newest start
  std::set<std::string> left_out_;
  std::map<std::string, std::string> states_;  ///< of the job's nodes, as Slurm said at asked_
  std::chrono::steady_clock::time_point asked_;
  boost::asio::thread_pool errands_{1};
};

}  // namespace

std::unique_ptr<Launcher> make_srun_launcher(WorkerCommand command, int workers, int threads) {
  return std::make_unique<SrunLauncher>(std::move(command), workers, threads);
}

}  // namespace plumbline
