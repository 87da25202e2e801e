// Plumbline's side of `plumbline bench`: a process that trains when it is told to, so that the driver (run.py) can take
// turns between it and a peer. It drives the Trainer that `plumbline-worker` drives; it stands here, and not in the
// worker, because a user's program has no use for it.
//
//   bench_tool make CONFIG FOLDER           a random model of the configuration's architecture and seed, as HF loads it
//   bench_tool train CONFIG [COMMANDS]      trains as the configuration says, from the model that it names
//   bench_tool peak THREADS                 the machine's GEMM rate, one JSON line: {"float32": FLOP/s, "bfloat16": …}
//
// `train` reads commands, one JSON object a line, from the standard input; as one rank of an mpirun group from
// COMMANDS.RANK, a named pipe (a rank that waits there does not spin, one that waits inside MPI does). Rank 0 answers
// each with one line:
//   {"do":"rows","steps":N}    {"rows":[[…],…]}: the rows of the next N steps, which the peer then trains on too
//   {"do":"train","steps":N}   {"loss":[…],"chosen":[…],"source_tokens":…,"output_tokens":…,"model_flops":…,
//                              "phases":{…}}: `chosen` is the mean log-prob of desired outputs, where pairs are
//                              compared
// The end of the commands ends it. Errors are the worker's: a line on the standard error stream and its exit status.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>

#include "common/core/check.hpp"
#include "common/core/files.hpp"
#include "common/core/json.hpp"
#include "worker/collective/mpi_session.hpp"
#include "worker/device.hpp"
#include "worker/numerics.hpp"
#include "worker/reference.hpp"
#include "worker/trainer.hpp"

namespace plumbline {
namespace {

using Clock = std::chrono::steady_clock;

Status make_model(const RunConfig& config, const std::filesystem::path& folder) {
  T5 model(config.model, at::kCPU);
  model.initialize(config.seed);
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec) return run_error("the folder cannot be made: " + ec.message(), folder.string());
  PLUMBLINE_ASSIGN(const auto tokenizer, make_tokenizer("byte"));
  for (const auto& [name, content] : tokenizer->hf_files())
    PLUMBLINE_TRY(write_file_atomically(folder / name, content));
  return save_model(model, folder);
}

/// A run of its configuration, as far as it has come.
class Training {
 public:
  static Result<std::unique_ptr<Training>> start(RunConfig config, Collective& collective);
  /// What was done before the first step: {"ready":true} and, where the objective compares with the start model, the
  /// seconds that its log-probs took and of how many rows they are.
  [[nodiscard]] Json ready() const { return ready_; }
  [[nodiscard]] Json rows(std::int64_t steps) const;
  Result<Json> train(std::int64_t steps);

 private:
  Training(RunConfig config, Dataset dataset) : config_(std::move(config)), dataset_(std::move(dataset)) {}
  Status compare_with(const T5& model, Collective& collective);

  RunConfig config_;
  Dataset dataset_;
  std::optional<Plan> plan_;
  std::optional<References> references_;
  std::unique_ptr<Trainer> trainer_;
  std::int64_t step_ = 0;
  Json ready_{{"ready", true}};
};

/// Computes the reference log-probs of all pairs that the run will see, as a run does before its first step.
Status Training::compare_with(const T5& model, Collective& collective) {
  PLUMBLINE_ASSIGN(const auto norms, norm_objectives(config_, dataset_.info()));
  if (std::none_of(norms.begin(), norms.end(), [](const auto& norm) { return needs_reference(norm.objective); }))
    return {};
  ReferenceWork work;
  work.dataset = &dataset_;
  for (const NormObjective& norm : norms) work.objectives.push_back(norm.objective);
  work.train_rows = plan_->rows_through(config_.train.steps);
  work.max_source_tokens = config_.train.max_source_tokens;
  work.max_output_tokens = config_.train.max_output_tokens;
  work.fingerprint = numeric_fingerprint(at::kCPU, config_.workers.threads, precision_of(config_.train));
  // A folder of this process's own: nothing is found that an earlier comparison computed.
  PLUMBLINE_ASSIGN(const auto names, collective.all_gather_bytes(to_hex(random_bytes(8))));
  const auto folder = std::filesystem::temp_directory_path() / ("plumbline-bench-" + names.front());
  work.folders = {folder};
  work.tell = [](const std::string&) {};
  const auto began = Clock::now();
  PLUMBLINE_ASSIGN(references_, prepare_references(model, work, collective));
  ready_["reference_seconds"] = std::chrono::duration<double>(Clock::now() - began).count();
  PLUMBLINE_TRY(collective.barrier());
  if (collective.rank() == 0) std::filesystem::remove_all(folder);
  ready_["reference_rows"] = work.train_rows.size();
  return {};
}

Result<std::unique_ptr<Training>> Training::start(RunConfig config, Collective& collective) {
  PLUMBLINE_ASSIGN(Dataset dataset, Dataset::open(config.data, Verify::kSizes));
  PLUMBLINE_ASSIGN(auto model, load_model(config.model.init, at::kCPU, precision_of(config.train)));
  std::unique_ptr<Training> run(new Training(std::move(config), std::move(dataset)));
  PLUMBLINE_ASSIGN(run->plan_, Plan::make(run->config_.train, run->config_.seed, run->dataset_.train(),
                                          objectives_of(run->config_, run->dataset_.info())));
  PLUMBLINE_TRY(run->compare_with(*model, collective));
  const RowLogProbs* references = run->references_ ? &run->references_->train : nullptr;
  PLUMBLINE_ASSIGN(run->trainer_, Trainer::make(run->config_, run->dataset_, references, std::move(model), collective));
  return run;
}

Json Training::rows(std::int64_t steps) const {
  Json all = Json::array();
  for (std::int64_t s = step_; s < step_ + steps; ++s) {
    Json rows = Json::array();
    for (const Lane& lane : plan_->at(Step(s)).lanes)
      for (const MicroBatch& micro : lane.micro_batches)
        for (const std::int64_t row : micro.rows) rows.push_back(row);
    all.push_back(std::move(rows));
  }
  return Json{{"rows", std::move(all)}};
}

Result<Json> Training::train(std::int64_t steps) {
  Json losses = Json::array(), chosen = Json::array();
  PhaseSeconds phases;
  double model_flops = 0;
  for (std::int64_t s = 0; s < steps; ++s) {
    PLUMBLINE_ASSIGN(const StepReport report, trainer_->step(step_));
    step_ = report.step;
    losses.push_back(report.loss);
    if (report.totals.front().preferences > 0 && compares_pairs(trainer_->norms().front().objective))
      chosen.push_back(report.sums.front().log_prob_desired / static_cast<double>(report.totals.front().preferences));
    model_flops += report.model_flops;
    phases.data += report.phases.data;
    phases.forward += report.phases.forward;
    phases.backward += report.phases.backward;
    phases.reduce += report.phases.reduce;
    phases.optimizer += report.phases.optimizer;
  }
  return Result<Json>(boost::system::in_place_value, Json{{"loss", std::move(losses)},
                                                          {"chosen", std::move(chosen)},
                                                          {"model_flops", model_flops},
                                                          {"phases",
                                                           {{"data", phases.data},
                                                            {"forward", phases.forward},
                                                            {"backward", phases.backward},
                                                            {"reduce", phases.reduce},
                                                            {"optimizer", phases.optimizer}}}});
}

Status obey(Training& run, std::istream& commands, bool answers) {
  const auto say = [&](const Json& json) {
    if (answers) std::cout << to_line(json) << std::endl;
  };
  say(run.ready());
  std::string line;
  while (std::getline(commands, line)) {
    PLUMBLINE_ASSIGN(const Json command, parse_json(line, "command"));
    PLUMBLINE_ASSIGN(const std::string what, json_get<std::string>(command, "do", "command"));
    PLUMBLINE_ASSIGN(const auto steps, json_get<std::int64_t>(command, "steps", "command"));
    if (what == "rows") {
      say(run.rows(steps));
    } else if (what == "train") {
      PLUMBLINE_ASSIGN(const Json report, run.train(steps));
      say(report);
    } else {
      return usage_error("there is no command \"" + what + "\"", "command", "The commands are rows and train.");
    }
  }
  return {};
}

Status train_on_command(const RunConfig& config, const std::string& pipes) {
  fix_numerics(config.workers.threads);
  const auto place = mpirun_place();
  if (!place) {
    const auto alone = make_self_collective();
    PLUMBLINE_ASSIGN(const auto run, Training::start(config, *alone));
    return obey(*run, std::cin, true);
  }
  std::ifstream commands(pipes + "." + std::to_string(place->rank));
  if (!commands) return usage_error("the pipe of commands cannot be opened", pipes + "." + std::to_string(place->rank));
  PLUMBLINE_TRY(initialize_mpi());
  {
    const auto ranks = make_mpi_collective();
    PLUMBLINE_ASSIGN(const auto run, Training::start(config, *ranks));
    PLUMBLINE_TRY(obey(*run, commands, place->rank == 0));
  }
  return finalize_mpi();
}

/// The best of five: what the machine can do, not what it did on average. [1024,1024] x [1024,1024].
double gemm_flops_per_second(at::ScalarType type) {
  constexpr std::int64_t kSize = 1024, kRepeats = 20;
  const at::Tensor a = at::ones({kSize, kSize}, type), b = at::ones({kSize, kSize}, type);
  at::Tensor c = at::mm(a, b);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto began = Clock::now();
    for (std::int64_t i = 0; i < kRepeats; ++i) at::mm_out(c, a, b);
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    best = std::max(best, 2.0 * kSize * kSize * kSize * kRepeats / seconds);
  }
  return best;
}

int report(const Error& error) {
  std::fprintf(stderr, "bench_tool: %s\n", to_string(error).c_str());
  return static_cast<int>(error.code);
}

int run_verb(const std::vector<std::string>& words, char** argv) {
  if (words[0] == "peak") {
    const int threads = std::max(1, std::atoi(words[1].c_str()));
    fix_environment(threads, argv);
    fix_numerics(threads);
    std::cout << to_line(Json{{"float32", gemm_flops_per_second(at::kFloat)},
                              {"bfloat16", gemm_flops_per_second(at::kBFloat16)}})
              << std::endl;
    return 0;
  }
  const auto config = load_run_config(words[1], {});
  if (config.has_error()) return report(config.error());
  fix_environment(config.value().workers.threads, argv);
  const std::string third = words.size() > 2 ? words[2] : "";
  const Status status =
      words[0] == "make" ? make_model(config.value(), third) : train_on_command(config.value(), third);
  if (status.has_value()) return 0;
  const int code = report(status.error());
  std::fflush(nullptr);
  std::_Exit(code);  // No destructor waits for a peer inside MPI.
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool sound = (words.size() == 2 && (words[0] == "peak" || words[0] == "train")) ||
                     (words.size() == 3 && (words[0] == "make" || words[0] == "train"));
  if (!sound) {
    std::fprintf(stderr, "usage: bench_tool make CONFIG FOLDER | train CONFIG [COMMANDS] | peak THREADS\n");
    return 2;
  }
  return plumbline::run_verb(words, argv);
}
