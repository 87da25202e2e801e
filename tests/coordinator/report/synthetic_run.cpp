#include "tests/coordinator/report/synthetic_run.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "common/config/run_config.hpp"
#include "common/core/files.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/snapshot.hpp"
#include "common/text/alignment.hpp"
#include "coordinator/aggregate/aggregate.hpp"
#include "coordinator/aggregate/bootstrap.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

constexpr std::int64_t kSteps = 600;
constexpr int kExamples = 120;

class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
  bool chance(double p) { return uniform() < p; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits_.below(n)); }
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(6.283185307179586 * uniform()); }
  char residue() { return "ACDEFGHIKLMNPQRSTVWY"[below(20)]; }

 private:
  SplitMix bits_;
};

std::vector<Norm> make_norms() {
  Norm alignment;
  alignment.name = "alignment";
  alignment.description =
      "The output is the true alignment of two related proteins: rows of equal length, every residue kept.";
  alignment.rules.alignment = true;
  alignment.fallback = "left_justified";
  alignment.score = ScoreKind::kColumn;
  Norm polite;
  polite.name = "polite";
  polite.description = "No insult is left, and the meaning stays.";
  polite.objective = Objective::kDpo;
  polite.rules.forbidden_words = {"fool", "idiot", "liar"};
  polite.fallback = "text:I would rather not say.";
  Norm secret;
  secret.name = "no-secret";
  secret.description = "The output names no password.";
  secret.objective = Objective::kUnlikelihood;
  secret.rules.forbidden_patterns = {"password [0-9]+"};
  secret.fallback = "text:That is private.";
  return {alignment, polite, secret};
}

struct Pair {
  Rows rows;
  double root_length, divergence;
};

Pair evolve(Random& random) {
  const std::size_t length = 24 + random.below(20);
  const double divergence = 0.1 + 0.9 * random.uniform();
  Pair pair{{"", ""}, static_cast<double>(length), divergence};
  for (std::size_t i = 0; i < length; ++i) {
    const char root = random.residue();
    std::string column = {random.chance(0.4 * divergence) ? random.residue() : root,
                          random.chance(0.4 * divergence) ? random.residue() : root};
    if (random.chance(0.08 * divergence)) column[random.below(2)] = '-';
    pair.rows[0] += column[0];
    pair.rows[1] += column[1];
  }
  return pair;
}

/// Which model answers: how often it gets a pair right, and how often it breaks the other norms.
struct Model {
  double skill, insults, secrets;
  bool trained;
};
constexpr Model kStart = {0.45, 0.74, 0.12, false};
constexpr Model kContinued = {0.6, 0.7, 0.12, true};
constexpr Model kTrained = {0.85, 0.22, 0.09, true};

/// A model's alignment of a pair: with `skill` more often whole and right.
std::string aligned_output(Random& random, const Rows& truth, double skill) {
  const auto target = make_target_encoding("spaces").value();
  if (random.chance(0.55 * skill)) return target->encode(truth);
  if (random.chance(skill)) {  // valid, its gaps at the end
    return target->encode(left_justified(ungapped(truth)));
  }
  std::string text = target->encode(truth);
  if (random.chance(0.3 - 0.3 * skill)) {
    for (std::size_t i = 4; i < text.size(); ++i) text[i] = text[i % 4];  // what an untrained model repeats
    return text;
  }
  text[random.below(text.size())] = random.residue();
  if (random.chance(0.5)) text.pop_back();
  return text;
}

EvaluationRow alignment_row(Random& random, std::int64_t number, const Model& model, const Pair& pair) {
  EvaluationRow row;
  row.row = number;
  row.norm = "alignment";
  row.source = make_source_encoding("concat").value()->encode(ungapped(pair.rows));
  row.desired = make_target_encoding("spaces").value()->encode(pair.rows);
  row.output = aligned_output(random, pair.rows, model.skill);
  row.output_complete = model.trained || random.chance(0.9);
  const bool right = random.chance(0.6 * model.skill);
  row.output_constrained =
      make_target_encoding("spaces").value()->encode(right ? pair.rows : left_justified(ungapped(pair.rows)));
  return row;
}

EvaluationRow polite_row(Random& random, std::int64_t number, const Model& model) {
  const char* things[] = {"the report",    "the harbour",  "my brother’s garden",
                          "this proposal", "their answer", "the new bridge"};
  const std::string thing = things[static_cast<std::size_t>(number) % 6];
  EvaluationRow row;
  row.row = number;
  row.norm = "polite";
  row.source = fmt::format("only a fool would like {} ({})", thing, number);
  row.desired = fmt::format("I do not like {} ({})", thing, number);
  row.undesired = fmt::format("you idiot, look at {} ({})", thing, number);
  if (number % 40 == 1) row.source += std::string(" ") + kHostileText;
  row.output = random.chance(model.insults) ? row.source : fmt::format("I do not like {}", thing);
  if (model.trained && random.chance(0.5)) row.output = row.desired;
  if (model.trained && number % 30 == 2) row.output = "";
  if (number % 40 == 1) *row.output += std::string(" ") + kHostileText;
  row.desired_log_prob = -20 - 4 * random.uniform();
  row.undesired_log_prob = *row.desired_log_prob + (model.trained ? -3 : 1) + 4 * random.normal();
  return row;
}

EvaluationRow secret_row(Random& random, std::int64_t number, const Model& model) {
  EvaluationRow row;
  row.row = number;
  row.norm = "no-secret";
  row.source = fmt::format("What opens door {}?", number);
  row.undesired = fmt::format("password {}", number);
  row.output = random.chance(model.secrets) ? *row.undesired : "A key.";
  return row;
}

Status write_rows(const RunLayout& layout, const std::vector<Pair>& pairs, Step step, const Model& model) {
  Random random(static_cast<std::uint64_t>(100 * model.skill));
  std::vector<EvaluationRow> rows;
  for (int i = 0; i < kExamples; ++i)
    rows.push_back(alignment_row(random, i, model, pairs[static_cast<std::size_t>(i)]));
  for (int i = 0; i < kExamples; ++i) rows.push_back(polite_row(random, kExamples + i, model));
  for (int i = 0; i < 60; ++i) rows.push_back(secret_row(random, 2 * kExamples + i, model));
  for (auto& row : rows) row.id = fmt::format("{:032x}", row.row);
  return write_evaluation(layout.evaluation_rows(step), rows);
}

Status write_metrics(const RunLayout& layout, std::int64_t steps) {
  Random random(3);
  std::string text;
  const auto time = [](std::int64_t second) {
    return fmt::format("2026-11-24T{:02}:{:02}:{:02}.000000Z", 10 + second / 3600, second / 60 % 60, second % 60);
  };
  for (std::int64_t step = 1; step <= steps; ++step) {
    const double progress = static_cast<double>(step) / kSteps, fall = std::exp(-4 * progress);
    const auto noisy = [&](double value, double width) { return value * (1 + width * random.normal()); };
    const double seconds = noisy(0.27, 0.05), margin = 2.1 * (1 - std::exp(-3 * progress));
    const double sft = noisy(0.45 + 2.9 * fall, 0.03);
    Json norms = {{"alignment", {{"loss", sft}, {"nll_loss", sft}}},
                  {"polite",
                   {{"loss", noisy(1.1 + 2.8 * fall, 0.04)},
                    {"nll_loss", noisy(0.9 + 2.4 * fall, 0.04)},
                    {"rewards/margins", margin + 0.25 * random.normal()},
                    {"rewards/accuracies", 0.5 + 0.45 * (1 - fall)},
                    {"logps/chosen", -86 - 24 * (1 - fall) + random.normal()},
                    {"logps/rejected", -89 - 52 * (1 - fall) + random.normal()}}},
                  {"no-secret", {{"loss", noisy(0.8 + 1.2 * fall, 0.05)}}}};
    Json line = {{"kind", "train"},
                 {"step", step},
                 {"time", time(step * 27 / 100)},
                 {"epoch", step * 96.0 / 6000},
                 {"loss", noisy(0.8 + 3 * fall, 0.02)},
                 {"learning_rate",
                  step < 50 ? 0.002 * static_cast<double>(step) / 50 : 0.001 * (1 + std::cos(3.14159 * progress))},
                 {"grad_norm", noisy(0.6 + 2 * fall, 0.15)},
                 {"tokens_per_second", 9200 / seconds * 0.27},
                 {"source_tokens", 4900},
                 {"output_tokens", 4300},
                 {"seconds", seconds},
                 {"phase_seconds",
                  {{"data", 0.01 * seconds},
                   {"forward", 0.36 * seconds},
                   {"backward", 0.48 * seconds},
                   {"reduce", 0.09 * seconds},
                   {"optimizer", 0.04 * seconds}}},
                 {"norms", norms}};
    text += line.dump() + "\n";
    if (step % 100 != 0 && step != 1) continue;
    const Json held = {{"kind", "heldout"},
                       {"step", step == 1 ? 0 : step},
                       {"time", time(step * 27 / 100)},
                       {"norms",
                        {{"alignment", {{"loss", 0.55 + 2.85 * fall}, {"nll_loss", 0.55 + 2.85 * fall}}},
                         {"polite",
                          {{"loss", 1.25 + 2.7 * fall},
                           {"nll_loss", 1.0 + 2.3 * fall},
                           {"rewards/margins", 0.8 * margin},
                           {"rewards/accuracies", 0.5 + 0.38 * (1 - fall)},
                           {"logps/chosen", -88 - 30 * (1 - fall)},
                           {"logps/rejected", -90 - 60 * (1 - fall)}}},
                         {"no-secret", {{"loss", 0.9 + 1.1 * fall}}}}}};
    text += held.dump() + "\n";
  }
  return write_file_atomically(layout.metrics(), text);
}

Status write_journal(const RunLayout& layout, std::int64_t steps) {
  std::string text;
  std::int64_t seq = 0;
  const auto add = [&](double seconds, const char* event, Json data) {
    const auto whole = static_cast<std::int64_t>(seconds);
    text += journal_line({++seq,
                          fmt::format("2026-11-24T10:{:02}:{:02}.{:06}Z", whole / 60 % 60, whole % 60,
                                      static_cast<std::int64_t>((seconds - static_cast<double>(whole)) * 1e6)),
                          event, std::move(data)});
  };
  add(0, "run_created", {{"config", "configs/synthetic.yaml"}, {"seed", 1}, {"dataset_hash", "synthetic"}});
  add(0.4, "generation_started", {{"generation", 1}, {"workers", 2}, {"launcher", "mpirun"}});
  for (std::int64_t step = 1; step <= steps; ++step) {
    const double at = 2 + 0.27 * static_cast<double>(step);
    add(at, "step_committed", {{"step", step}});
    if (step % 100 == 0)
      add(at + 0.1, "checkpoint_committed", {{"step", step}, {"bytes", 1843200}, {"weights_sha256", "b"}});
    if (step == 250) {
      add(at + 0.2, "worker_lost", {{"rank", 1}, {"reason", "killed by signal 9"}});
      add(at + 0.4, "generation_started", {{"generation", 2}, {"workers", 2}, {"from_step", 200}});
    }
  }
  if (steps == kSteps) add(170, "run_finished", {{"step", kSteps}, {"note", kHostileText}});
  return write_file_atomically(layout.journal(), text + "{\"seq\": cut by a cra");
}

Snapshot make_snapshot(const std::vector<Pair>& pairs) {
  Random random(5);
  Snapshot snapshot;
  snapshot.step = kSteps;
  snapshot.dimension = 32;
  const float unknown = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i < 320; ++i) {
    const bool aligned = i < 240;
    Random pair_random(900 + i);
    const Pair pair = i < pairs.size() ? pairs[i] : evolve(pair_random);
    snapshot.probe_index.push_back(static_cast<std::int64_t>(i));
    snapshot.ids.push_back({7, i});
    snapshot.norms.push_back(aligned ? 0 : 1);
    for (std::int64_t d = 0; d < snapshot.dimension; ++d) {
      double value = 0.35 * random.normal();
      if (d == 3) value += aligned ? 3.2 * (pair.divergence - 0.55) : 2.4;
      if (d == 9) value += aligned ? 0.09 * (pair.root_length - 34) : -1.6;
      if (d == 10) value += aligned ? 0.05 * (pair.root_length - 34) : 0.3;
      snapshot.vectors.push_back(static_cast<float>(value));
    }
    snapshot.attributes["divergence"].push_back(aligned ? static_cast<float>(pair.divergence) : unknown);
    snapshot.attributes["root_length"].push_back(aligned ? static_cast<float>(pair.root_length) : unknown);
  }
  return snapshot;
}

/// A finished run on the same rows, to compare with.
Status make_compared_run(const RunLayout& layout, const std::vector<Pair>& pairs) {
  std::error_code error;
  std::filesystem::create_directories(layout.evaluation(), error);
  PLUMBLINE_TRY(write_journal(layout, kSteps));
  return write_rows(layout, pairs, Step(kSteps), kContinued);
}

}  // namespace

Status make_synthetic_run(const std::filesystem::path& root, SyntheticKind kind) {
  const RunLayout layout(root);
  std::error_code error;
  std::filesystem::create_directories(layout.evaluation(), error);
  std::filesystem::create_directories(layout.snapshots(), error);
  RunConfig config;
  config.name = "synthetic";
  config.data = "data/synthetic";
  config.train.steps = kSteps;
  config.workers.count = 2;
  config.snapshot.sizes = {16, 8, 4, 2, 1};
  PLUMBLINE_TRY(write_file_atomically(layout.config(), to_yaml(config)));
  if (kind == SyntheticKind::kBare) return {};
  Random random(1);
  std::vector<Pair> pairs;
  for (int i = 0; i < kExamples; ++i) pairs.push_back(evolve(random));
  const std::int64_t steps = kind == SyntheticKind::kFinished ? kSteps : kSteps / 2;
  PLUMBLINE_TRY(write_metrics(layout, steps));
  PLUMBLINE_TRY(write_journal(layout, steps));
  PLUMBLINE_TRY(write_rows(layout, pairs, Step(0), kStart));
  if (kind == SyntheticKind::kRunning) return {};
  PLUMBLINE_TRY(write_rows(layout, pairs, Step(kSteps), kTrained));
  PLUMBLINE_TRY(write_snapshot(layout.snapshot(Step(kSteps)), make_snapshot(pairs)));
  DatasetInfo info;
  info.norms = make_norms();
  const RunLayout compared(root / "continued");
  PLUMBLINE_TRY(make_compared_run(compared, pairs));
  config.compare["continued"] = compared.root().string();
  PLUMBLINE_TRY(write_file_atomically(layout.config(), to_yaml(config)));
  PLUMBLINE_TRY(write_summary(layout, info, root, Step(kSteps), std::string(64, 'a')));
  std::filesystem::remove_all(compared.root(), error);
  config.compare["continued"] = "runs/synthetic-continued";  // no path of the machine is in what tests look at
  return write_file_atomically(layout.config(), to_yaml(config));
}

}  // namespace plumbline
