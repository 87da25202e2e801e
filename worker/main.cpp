// plumbline-worker: joins a run and computes. Only wires: options, numerics, MPI, the kind of group.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "common/core/check.hpp"
#include "common/core/files.hpp"
#include "common/core/log.hpp"
#include "worker/activity.hpp"
#include "worker/answer.hpp"
#include "worker/collective/mpi_session.hpp"
#include "worker/device.hpp"
#include "worker/elastic_worker.hpp"
#include "worker/joining.hpp"
#include "worker/log.hpp"
#include "worker/numerics.hpp"
#include "worker/out_of_memory.hpp"
#include "worker/sample.hpp"
#include "worker/stacks.hpp"
#include "worker/static_worker.hpp"

namespace plumbline {
namespace {

extern "C" void end_on_signal(int signal_number) { _exit(128 + signal_number); }

Status run(const RunLayout& layout, const RunConfig& config, std::optional<int> number, const std::string& log_level) {
  const auto place = number ? std::nullopt : mpirun_place();
  const int rank = number.value_or(place ? place->rank : 0);
  set_check_rank(rank);
  std::error_code ec;
  std::filesystem::create_directories(layout.logs(), ec);
  PLUMBLINE_TRY(init_log({log_level, layout.worker_log(rank), /*standard_error=*/rank == 0}));
  prepare_for_stacks();
  fix_numerics(config.workers.threads);
  if (number) return work_in_elastic_group(layout, config, *number);
  if (!place) {
    const auto collective = make_self_collective();
    return work_in_static_group(layout, config, *collective);
  }
  PLUMBLINE_TRY(initialize_mpi());
  const auto collective = make_mpi_collective();
  PLUMBLINE_TRY(work_in_static_group(layout, config, *collective));
  return finalize_mpi();
}

/// The device of a process that computes without a group. Such processes take turns at this machine's GPUs.
at::Device device_of(int process) {
  const auto gpus = visible_gpus().size();
  if (gpus == 0) return at::Device(at::kCPU);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(static_cast<std::size_t>(process) % gpus));
}

/// One share of a sampling task.
Status sample_share(const std::string& task_file, const std::string& share_text, const std::string& out,
                    const std::string& log_level) {
  PLUMBLINE_TRY(init_log({log_level, {}, /*standard_error=*/true}));
  PLUMBLINE_ASSIGN(const SamplingShare share, parse_share(share_text));
  PLUMBLINE_ASSIGN(const Json json, read_json_file(task_file));
  PLUMBLINE_ASSIGN(const SamplingTask task, sampling_task_from_json(json, task_file));
  fix_numerics(task.threads);
  activity().begin_stage("generation", 0);
  try {
    return sample(task, share, out, device_of(share.index));
  } catch (const std::exception& e) {  // A library's, which no room turned into an Error.
    return library_error(e, who_on_this_host("a sampling worker"), activity().work(),
                         "Lower --batch-rows, --max-new-tokens or --workers.");
  }
}

/// Answers what comes on the standard input.
Status answer_sources(int threads, const std::string& log_level) {
  PLUMBLINE_TRY(init_log({log_level, {}, /*standard_error=*/true}));
  fix_numerics(1);
  return answer(std::cin, std::cout, device_of(0), threads);
}

int report(const Error& error) {
  std::fprintf(stderr, "plumbline-worker: %s\n", to_string(error).c_str());
  return static_cast<int>(error.code);
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) {
  using namespace plumbline;
  CLI::App app(
      "Computes for a run that a coordinator serves. `plumbline train` starts workers itself; with its\n"
      "--launcher external they are started by hand: mpirun -np N plumbline-worker --join RUN\n"
      "`plumbline refine` starts workers with --sample, `plumbline generate` one with --generate.");
  std::string run_dir, task, share = "0/1", out, log_level = "info";
  bool generate = false;
  int threads = 1;
  std::optional<int> number;
  auto* duty = app.add_option_group("duty", "One of")->require_option(1);
  auto* joining = duty->add_option("--join", run_dir, "Run directory, which holds the coordinator's address");
  app.add_option("--worker", number,
                 "With --join: number of this worker in an elastic group, which a coordinator started")
      ->needs(joining)
      ->check(CLI::Range(0, 1 << 20));
  auto* sampling = duty->add_option("--sample", task, "Task file (JSON) of `plumbline refine`");
  auto* generating =
      duty->add_flag("--generate", generate, "Answer sources on standard input, for `plumbline generate`");
  app.add_option("--threads", threads, "With --generate: compute threads")
      ->needs(generating)
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--share", share, "With --sample: which share of the batches, INDEX/COUNT")
      ->needs(sampling)
      ->capture_default_str();
  auto* file = app.add_option("--out", out, "With --sample: file that the samples are appended to")->needs(sampling);
  sampling->needs(file);
  app.add_option("--log-level", log_level, "Least level that is logged")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = app.exit(e);
    return status == 0 ? 0 : static_cast<int>(ErrorCode::kUsage);
  }
  signal(SIGTERM, end_on_signal);
  signal(SIGPIPE, SIG_IGN);
  if (!task.empty()) {
    fix_environment(1, argv);
    const Status status = sample_share(task, share, out, log_level);
    flush_log();
    return status.has_value() ? 0 : report(status.error());
  }
  if (generate) {
    fix_environment(1, argv);
    const Status status = answer_sources(threads, log_level);
    flush_log();
    return status.has_value() ? 0 : report(status.error());
  }
  const RunLayout layout{run_dir};
  const auto config = load_run_config(layout.config(), {});
  if (config.has_error()) return report(config.error());
  fix_environment(config.value().workers.threads, argv);
  const Status status = run(layout, config.value(), number, log_level);
  if (status.has_value()) return 0;
  log_error(to_string(status.error()));
  const auto place = mpirun_place();
  if (number.value_or(place ? place->rank : 0) != 0)
    report(status.error());  // Rank 0's log is on the standard error stream.
  exit_now(static_cast<int>(status.error().code));
}
