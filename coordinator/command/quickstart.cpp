// `plumbline quickstart`: the main job on the embedded default, from simulated evolution to a report, in one command.
// Each stage is what a user does by hand with the same files: curate, refine, curate, train, train.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "common/core/files.hpp"
#include "common/core/json.hpp"
#include "common/core/log.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/command/command.hpp"
#include "coordinator/command/options.hpp"
#include "coordinator/command/progress_line.hpp"
#include "coordinator/curate/curate.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/refine/refine.hpp"
#include "coordinator/report/verdict.hpp"
#include "coordinator/serve/run.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

struct QuickstartOptions {
  std::string run = "runs/quickstart";
  int workers = 2;
  std::int64_t sources = 0;
  bool replace = false;
  std::vector<std::string> set;
};

/// A dataset that quickstart curates: its folder, and the name that its recipe in configs/data gives it.
struct OwnDataset {
  fs::path folder;
  std::string name;
};

/// Everything that quickstart makes lies beside the run, with its name in front.
struct Places {
  explicit Places(const std::string& run)
      : aligned(run),
        continued(run + "-continued"),
        pairs{run + "-pairs", "protein-pairs"},
        preferences{run + "-preferences", "protein-preferences"},
        as_before{run + "-as-before", "protein-pairs-as-before"},
        outputs(run + "-outputs.jsonl") {}
  RunLayout aligned, continued;
  OwnDataset pairs, preferences, as_before;
  fs::path outputs;
};

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// The folder with the project's configurations: $PLUMBLINE_HOME/configs, else where this build's sources lie.
fs::path configs_folder() {
  const char* home = std::getenv("PLUMBLINE_HOME");
  return fs::path(home != nullptr ? home : PLUMBLINE_SOURCE_DIR) / "configs";
}
fs::path base_model() { return configs_folder() / "models" / "protein-pairs-split"; }

std::string label_of(const std::string& comparator) {
  if (comparator == "base") return "base model";
  if (comparator == "rules") return "base model + rule filter";
  if (comparator == "base_constrained") return "base model, constrained";
  if (comparator == "continued") return "base model, trained on as before";
  if (comparator == "aligned") return "aligned model";
  if (comparator == "aligned_constrained") return "aligned model, constrained";
  return comparator;
}

/// What the run's summary says: the report's first sentences, the table behind them, and what comes next.
Status print_summary(const RunLayout& layout) {
  PLUMBLINE_ASSIGN(const Json summary, read_json_file(layout.summary()));
  say("\n" + run_verdict(summary));
  for (const auto& [name, norm] : summary.at("norms").items()) {
    say(fmt::format("\nnorm {} ({} held-out examples)", name, norm.at("aligned").at("examples").get<int>()));
    say(fmt::format("  {:<34} {:>18} {:>14}", "", "undesirable rate", "desired score"));
    for (const Json& comparator : norm.at("comparators")) {
      const auto key = comparator.get<std::string>();
      const Json& row = norm.at(key);
      say(fmt::format("  {:<34} {:>17.1f}% {:>14.3f}", label_of(key), 100 * row.at("undesirable_rate").get<double>(),
                      row.at("desired_score").get<double>()));
    }
  }
  say(fmt::format("\nweights_sha256 {}", summary.at("weights_sha256").get<std::string>()));
  say(fmt::format("report         {}", layout.report().string()));
  say(
      fmt::format("\nWhat next:\n"
                  "  ./plumbline status {0}      what the run did\n"
                  "  ./plumbline inspect {0}     its checkpoints and snapshots\n"
                  "  README.md                                how to train on your own examples",
                  layout.root().string()));
  return {};
}

bool is_there(const fs::path& folder) { return fs::exists(folder) && !fs::is_empty(folder); }

Error not_own(const fs::path& folder) {
  return usage_error("this folder holds something else than a quickstart makes, so it is left alone", folder.string(),
                     "Name another folder with --run.");
}

/// A run of a quickstart, that is on a dataset of its own; no other is gone on with, shown or removed.
Status check_own(const RunLayout& layout, const OwnDataset& data) {
  if (!is_there(layout.root())) return {};
  if (fs::exists(layout.journal())) {
    const auto config = load_run_config(layout.config(), {});
    if (config.has_value() && fs::path(config->data) == fs::absolute(data.folder).lexically_normal()) return {};
  }
  return not_own(layout.root());
}

Status check_own(const OwnDataset& data) {
  if (!is_there(data.folder)) return {};
  const auto info = read_json_file(data.folder / "dataset.json");
  if (info.has_value() && info->is_object() && info->value("name", Json()) == data.name) return {};
  return not_own(data.folder);
}

Status check_all_own(const Places& places) {
  PLUMBLINE_TRY(check_own(places.aligned, places.preferences));
  PLUMBLINE_TRY(check_own(places.continued, places.as_before));
  for (const OwnDataset& data : {places.pairs, places.preferences, places.as_before}) PLUMBLINE_TRY(check_own(data));
  return {};
}

void remove_all(const Places& places) {
  std::error_code ignored;
  for (const fs::path& place :
       {places.aligned.root(), places.continued.root(), places.pairs.folder, places.preferences.folder,
        places.as_before.folder, places.outputs, fs::path(places.outputs.string() + ".parts")})
    fs::remove_all(place, ignored);
}

Status curate_own(const OwnDataset& data, std::map<std::string, fs::path> source_paths) {
  if (fs::exists(data.folder / "dataset.json")) {
    say(fmt::format("{} is there already.", data.folder.string()));
    return {};
  }
  const fs::path recipe = configs_folder() / "data" / (data.name + ".yaml");
  PLUMBLINE_TRY(
      curate({.recipe = recipe, .out = data.folder, .source_paths = std::move(source_paths), .replace = false}));
  return {};
}

Status refine_base(const Places& places, const QuickstartOptions& options) {
  if (fs::exists(places.outputs)) {
    say(fmt::format("{} is there already.", places.outputs.string()));
    return {};
  }
  RefineOptions refining;
  refining.model = base_model();
  refining.data = places.pairs.folder;
  refining.out = places.outputs;
  refining.max_new_tokens = 170;
  refining.examples = options.sources;
  refining.workers = options.workers;
  ProgressLine line("sampled for");
  PLUMBLINE_ASSIGN(const RefineCounts counts,
                   refine(refining, [&](std::int64_t done, std::int64_t all) { line.show(done, all); }));
  say(fmt::format("{} outputs for {} sources: the judge accepts {} and rejects {}; {} preferences, {} demonstrations",
                  counts.outputs, counts.sources, counts.accepted, counts.rejected, counts.preferences,
                  counts.demonstrations));
  return {};
}

Result<RunConfig> config_of(const char* file, const OwnDataset& data, std::vector<Override> overrides,
                            const QuickstartOptions& options) {
  PLUMBLINE_ASSIGN(const auto given, parse_overrides(options.set));
  overrides.insert(overrides.end(), given.begin(), given.end());
  overrides.push_back(text_override("data", data.folder.string()));
  overrides.push_back(text_override("model.init", base_model().string()));
  return load_run_config(configs_folder() / file, overrides);
}

/// Trains to the end, or goes on where an earlier quickstart was interrupted.
Status train_own(const RunLayout& layout, const RunConfig& config, const QuickstartOptions& options) {
  if (fs::exists(layout.summary())) {
    say(fmt::format("{} is finished already.", layout.root().string()));
    return {};
  }
  if (fs::exists(layout.journal())) {
    say(fmt::format("{} was interrupted; resuming it from its newest checkpoint …", layout.root().string()));
  } else {
    say(fmt::format("{} steps on {} workers; follow it with `./plumbline logs {} -f` …", config.train.steps,
                    options.workers, layout.root().string()));
    PLUMBLINE_TRY(create_run(layout, config));
  }
  PLUMBLINE_ASSIGN(const RunConfig stored, load_run_config(layout.config(), {}));
  PLUMBLINE_TRY(serve_run(layout, stored, options.workers));
  return {};
}

Status run_quickstart(const QuickstartOptions& options) {
  const Places places(options.run);
  PLUMBLINE_ASSIGN(const RunConfig continued, config_of("quickstart-continued.yaml", places.as_before, {}, options));
  PLUMBLINE_ASSIGN(const RunConfig aligned,
                   config_of("quickstart.yaml", places.preferences,
                             {text_override("compare.continued", places.continued.root().string())}, options));
  PLUMBLINE_TRY(check_all_own(places));
  if (options.replace) remove_all(places);
  if (fs::exists(places.aligned.summary())) {
    say(fmt::format("{} is finished already; `./plumbline quickstart --replace` runs it again.", options.run));
    return print_summary(places.aligned);
  }
  PLUMBLINE_TRY(init_log({}));
  say("[1/5] Simulating the evolution of protein pairs, whose true alignment is then known …");
  PLUMBLINE_TRY(curate_own(places.pairs, {}));
  say("[2/5] Letting the base model align the training pairs several times, and judging what it writes …");
  PLUMBLINE_TRY(refine_base(places, options));
  say("[3/5] Curating its own outputs as examples, desired and undesired …");
  PLUMBLINE_TRY(curate_own(places.preferences, {{"own", places.outputs}, {"pairs", places.pairs.folder}}));
  say("[4/5] For comparison: training the base model on as it was trained before …");
  PLUMBLINE_TRY(curate_own(places.as_before, {{"pairs", places.pairs.folder}}));
  PLUMBLINE_TRY(train_own(places.continued, continued, options));
  say("[5/5] Aligning the base model with the curated examples …");
  PLUMBLINE_TRY(train_own(places.aligned, aligned, options));
  return print_summary(places.aligned);
}

}  // namespace

void add_quickstart(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand(
      "quickstart", "Teach a small base model a norm by examples of its own outputs, from simulation to a report");
  auto options = std::make_shared<QuickstartOptions>();
  command
      ->add_option("--run", options->run,
                   "Run directory; what else is made lies beside it: -pairs, -outputs.jsonl, -preferences, -as-before, "
                   "-continued")
      ->capture_default_str();
  command->add_option("--workers", options->workers, "Workers to train on")
      ->capture_default_str()
      ->check(CLI::Range(1, kMostWorkers));
  command
      ->add_option("--sources", options->sources,
                   "Training pairs that the base model answers; 0: all. Fewer make it quicker, and worse")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}));
  command
      ->add_option(
          "--set", options->set,
          "Override a key of configs/quickstart.yaml and quickstart-continued.yaml: --set key=value (repeatable)")
      ->take_all();
  command->add_flag("--replace", options->replace, "Remove what an earlier quickstart made and start again");
  command->callback([options, &body] { body = [options] { return run_quickstart(*options); }; });
}

}  // namespace plumbline
