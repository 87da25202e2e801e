// `srun`: workers on the hosts of a Slurm job, each a step of its own in an elastic group. The steps overlap, so a lost
// worker's place is free at once; Slurm's step daemon is what looks after a worker on its host.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// What a program of Slurm's prints; empty where it fails. The words are ours, or names that Slurm gave.
std::string output_of(const std::vector<std::string>& words) {
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
  Step(std::unique_ptr<WorkerGroup> srun, std::string job, std::string name)
      : srun_(std::move(srun)), job_(std::move(job)), name_(std::move(name)) {}
  [[nodiscard]] int pidfd() const override { return srun_->pidfd(); }
  [[nodiscard]] std::int64_t pid() const override { return srun_->pid(); }
  GroupExit wait() override { return srun_->wait(); }
  void terminate() override { srun_->terminate(); }
  /// srun would take its time and leave the worker to it; Slurm ends the step at once.
  void kill() override {
    for (const std::string& line : lines_of(output_of({"squeue", "--noheader", "--steps", "--format=%i %j"}))) {
      const std::size_t space = line.find(' ');
      if (space != std::string::npos && line.substr(space + 1) == name_ && line.starts_with(job_ + "."))
        static_cast<void>(output_of({"scancel", "--signal=KILL", line.substr(0, space)}));
    }
    srun_->kill();
  }

 private:
  std::unique_ptr<WorkerGroup> srun_;
  std::string job_, name_;
};

class SrunLauncher final : public Launcher {
 public:
  SrunLauncher(WorkerCommand command, int workers, int threads)
      : command_(std::move(command)), workers_(workers), threads_(threads), job_(variable("SLURM_JOB_ID")) {}
  [[nodiscard]] std::string name() const override { return "srun"; }
  [[nodiscard]] bool elastic() const override { return true; }
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
    return shell_quote(argv(request, job_.empty() || hosts().empty() ? "HOST" : home_of(request.number)));
  }

  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) override {
    if (job_.empty())
      return environment_error("the launcher srun works inside a Slurm job, and this is none", "workers.launcher",
                               "Submit the run with `plumbline submit`, or take another launcher.");
    if (hosts().empty())
      return environment_error("Slurm does not say which hosts job " + job_ + " has", "SLURM_JOB_NODELIST",
                               "`scontrol show hostnames` is asked.");
    ProcessSpec spec;
    spec.argv = argv(request, host_for(request.number));
    spec.argv.front() = find_program("srun").value_or("srun");
    spec.environment = worker_environment(request.group, KeepSlurm::kYes);
    spec.log = command_.log;
    spec.outlives = true;
    PLUMBLINE_ASSIGN(auto srun, start_process(spec));
    return std::unique_ptr<WorkerGroup>(std::make_unique<Step>(std::move(srun), job_, step_name(request.number)));
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
  /// Its own, or where that is down the next one that is not.
  [[nodiscard]] std::string host_for(int number) const {
    const std::string home = home_of(number);
    const auto begin = std::find(hosts().begin(), hosts().end(), home) - hosts().begin();
    for (std::size_t i = 0; i < hosts().size(); ++i) {
      const std::string& host = hosts()[(static_cast<std::size_t>(begin) + i) % hosts().size()];
      if (is_up(host)) return host;
    }
    return home;
  }
  /// Slurm marks what does not respond with a star, and may still call it allocated.
  [[nodiscard]] static bool is_up(const std::string& host) {
    const std::string state = output_of({"sinfo", "--noheader", "--Node", "--nodes=" + host, "--format=%T"});
    return state.find("down") == std::string::npos && state.find("fail") == std::string::npos &&
           state.find('*') == std::string::npos;
  }
  [[nodiscard]] static std::string step_name(int number) { return "plumbline-worker-" + std::to_string(number); }

  [[nodiscard]] std::vector<std::string> argv(const LaunchRequest& request, const std::string& host) const {
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
            "--job-name=" + step_name(request.number),
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
};

}  // namespace

std::unique_ptr<Launcher> make_srun_launcher(WorkerCommand command, int workers, int threads) {
  return std::make_unique<SrunLauncher>(std::move(command), workers, threads);
}

}  // namespace plumbline
