// plumbline-worker: joins a run and computes. Only wires: options, numerics, MPI, the control plane, the training loop.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "common/core/check.hpp"
#include "common/core/files.hpp"
#include "common/core/log.hpp"
#include "worker/answer.hpp"
#include "worker/collective/mpi_session.hpp"
#include "worker/collective/nccl_group.hpp"
#include "worker/device.hpp"
#include "worker/log.hpp"
#include "worker/numerics.hpp"
#include "worker/sample.hpp"
#include "worker/train_loop.hpp"

namespace plumbline {
namespace {

/// Ends the process at once: no destructor waits for a peer, and the launcher ends the rest of the group.
[[noreturn]] void exit_now(int status) {
  flush_log();
  std::fflush(nullptr);
  std::_Exit(status);
}

extern "C" void end_on_signal(int signal_number) { _exit(128 + signal_number); }

/// What all ranks of one launched group share: the launcher's name for it, or rank 0's random one.
Result<std::string> group_of(Collective& collective) {
  const char* given = std::getenv("PLUMBLINE_GROUP");
  PLUMBLINE_ASSIGN(const auto all, collective.all_gather_bytes(given != nullptr ? given : to_hex(random_bytes(16))));
  return all.front();
}

Hello introduce(const Collective& collective, const std::string& group, const std::string& fingerprint) {
  Hello hello;
  hello.role = Role::kWorker;
  hello.rank = collective.rank();
  hello.world = collective.size();
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) == 0) hello.host = host;
  hello.pid = getpid();
  hello.group = group;
  hello.fingerprint = fingerprint;
  return hello;
}

/// The group that training talks through: NCCL between GPUs, whose identifier the coordinator relays; otherwise the one
/// that brought the ranks together.
Status train(const WorkerContext& context, std::chrono::milliseconds timeout) {
  Collective& ranks = context.collective;
  if (context.device.is_cpu() || ranks.size() == 1) return train_loop(context);
  std::string id;
  if (ranks.rank() == 0) {
    PLUMBLINE_ASSIGN(id, new_nccl_id());
    PLUMBLINE_TRY(context.session.send(NcclId{id}));
  } else {
    id = context.session.nccl_id();
  }
  PLUMBLINE_ASSIGN(const auto gpus, make_nccl_collective({ranks.rank(), ranks.size(), context.device, timeout}, id));
  return train_loop({context.config, context.layout, context.session, *gpus, context.device, context.fingerprint});
}

/// From the first byte that is said to the coordinator to the last.
Status join_and_train(const RunLayout& layout, const RunConfig& config, Collective& ranks) {
  PLUMBLINE_ASSIGN(const at::Device device, choose_device(config.workers.device, ranks));
  const std::string fingerprint = numeric_fingerprint(device, config.workers.threads, precision_of(config.train));
  PLUMBLINE_ASSIGN(const std::string group, group_of(ranks));
  SessionOptions options;
  options.heartbeat = std::chrono::milliseconds(config.control.heartbeat_ms);
  options.timeout = std::chrono::milliseconds(config.control.worker_timeout_ms);
  options.on_lost = [](const Error& error) {
    log_error("the connection to the coordinator is lost: " + to_string(error));
    exit_now(static_cast<int>(ErrorCode::kRun));
  };
  const auto timeout = options.timeout;
  PLUMBLINE_ASSIGN(const auto session,
                   Session::join(layout.root(), introduce(ranks, group, fingerprint), std::move(options)));
  log_info("joined as rank " + std::to_string(ranks.rank()) + " of " + std::to_string(ranks.size()) + " (" +
           ranks.name() + "), " + fingerprint);
  Status status;
  try {
    status = train({config, layout, *session, ranks, device, fingerprint}, timeout);
  } catch (const std::exception& e) {  // A library's, which no room turned into an Error.
    status = run_error(std::string("a library failed: ") + e.what(), "plumbline-worker");
  }
  if (status.has_error()) {
    const Error& e = status.error();
    // The coordinator may be gone too; then the log says what happened.
    static_cast<void>(session->send(Failed{static_cast<int>(e.code), e.message, e.where, e.hint}));
  }
  session->leave();
  return status;
}

Status run(const RunLayout& layout, const RunConfig& config, const std::string& log_level) {
  const auto place = mpirun_place();
  const int rank = place ? place->rank : 0;
  set_check_rank(rank);
  std::error_code ec;
  std::filesystem::create_directories(layout.logs(), ec);
  PLUMBLINE_TRY(init_log({log_level, layout.worker_log(rank), /*standard_error=*/rank == 0}));
  fix_numerics(config.workers.threads);
  if (!place) {
    const auto collective = make_self_collective();
    return join_and_train(layout, config, *collective);
  }
  PLUMBLINE_TRY(initialize_mpi());
  const auto collective = make_mpi_collective();
  PLUMBLINE_TRY(join_and_train(layout, config, *collective));
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
  try {
    return sample(task, share, out, device_of(share.index));
  } catch (const std::exception& e) {  // A library's, which no room turned into an Error.
    return run_error(std::string("a library failed: ") + e.what(), "plumbline-worker");
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
  auto* duty = app.add_option_group("duty", "One of")->require_option(1);
  duty->add_option("--join", run_dir, "Run directory, which holds the coordinator's address");
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
  const Status status = run(layout, config.value(), log_level);
  if (status.has_value()) return 0;
  log_error(to_string(status.error()));
  const auto place = mpirun_place();
  if (place && place->rank != 0) report(status.error());  // Rank 0's log is on the standard error stream.
  exit_now(static_cast<int>(status.error().code));
}
