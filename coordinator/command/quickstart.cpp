// `plumbline quickstart`: the main job on the embedded default, from simulated evolution to a report, in one command.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "common/core/json.hpp"
#include "common/core/log.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/command/command.hpp"
#include "coordinator/command/options.hpp"
#include "coordinator/curate/curate.hpp"
#include "coordinator/serve/run.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

struct QuickstartOptions {
  std::string run = "runs/quickstart";
  int workers = 2;
  bool replace = false;
  std::vector<std::string> set;
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

/// What the run's summary says, as a small table, with the words a newcomer needs.
Status print_summary(const RunLayout& layout) {
  PLUMBLINE_ASSIGN(const Json summary, read_json_file(layout.summary()));
  say("");
  for (const auto& [name, norm] : summary.at("norms").items()) {
    say(fmt::format("norm {} ({} held-out examples)", name, norm.at("aligned").at("examples").get<int>()));
    say(fmt::format("  {:<28} {:>18} {:>14}", "", "undesirable rate", "desired score"));
    for (const auto& [key, label] : {std::pair{"base", "starting model"},
                                     {"rules", "starting model + rule filter"},
                                     {"aligned", "trained model"}}) {
      const Json& row = norm.at(key);
      say(fmt::format("  {:<28} {:>17.1f}% {:>14.3f}", label, 100 * row.at("undesirable_rate").get<double>(),
                      row.at("desired_score").get<double>()));
    }
  }
  say(fmt::format("\nweights_sha256 {}", summary.at("weights_sha256").get<std::string>()));
  say(fmt::format("report         {}", layout.report().string()));
  say("\nThe model starts from random weights and trains for a few minutes on two CPU cores, so expect it to have "
      "learned the\n"
      "form of an alignment and part of the task, not to rival an aligner. What next:\n"
      "  ./plumbline status " +
      layout.root().string() +
      "      what the run did\n"
      "  ./plumbline inspect " +
      layout.root().string() +
      "     its checkpoints and snapshots\n"
      "  README.md                                how to train on your own examples");
  return {};
}

/// Nothing, an empty folder, or a run on quickstart's own dataset: no other run is gone on with, shown or removed.
Status check_own(const RunLayout& layout, const fs::path& data) {
  if (!fs::exists(layout.root()) || fs::is_empty(layout.root())) return {};
  if (fs::exists(layout.journal())) {
    const auto config = load_run_config(layout.config(), {});
    if (config.has_value() && fs::path(config->data) == fs::absolute(data).lexically_normal()) return {};
  }
  return usage_error("this folder holds something else than a quickstart run, so it is left alone",
                     layout.root().string(), "Name another folder with --run.");
}

Status run_quickstart(const QuickstartOptions& options) {
  const RunLayout layout(options.run);
  const fs::path data = options.run + "-data";
  PLUMBLINE_ASSIGN(auto overrides, parse_overrides(options.set));
  overrides.push_back(text_override("data", data.string()));
  PLUMBLINE_ASSIGN(const RunConfig config, load_run_config(configs_folder() / "quickstart.yaml", overrides));
  PLUMBLINE_TRY(check_own(layout, data));
  if (options.replace) {
    std::error_code ignored;
    fs::remove_all(layout.root(), ignored);
  }
  if (fs::exists(layout.summary())) {
    say(fmt::format("{} is finished already; `./plumbline quickstart --replace` runs it again.", options.run));
    return print_summary(layout);
  }

  if (!fs::exists(data / "dataset.json") || options.replace) {
    PLUMBLINE_TRY(init_log({}));
    say("[1/3] Curating: simulating the evolution of protein pairs (their true alignment is known) …");
    PLUMBLINE_TRY(curate({.recipe = configs_folder() / "data" / "simulated-protein.yaml",
                          .out = data,
                          .source_paths = {},
                          .replace = true}));
  } else {
    say(fmt::format("[1/3] Curating: {} is there already.", data.string()));
  }

  if (fs::exists(layout.journal())) {
    say(fmt::format("[2/3] Training: {} was interrupted; resuming it from its newest checkpoint …", options.run));
  } else {
    say(fmt::format("[2/3] Training: {} steps on {} workers; follow it with `./plumbline logs {} -f` …",
                    config.train.steps, options.workers, options.run));
    PLUMBLINE_TRY(create_run(layout, config));
  }
  PLUMBLINE_ASSIGN(const RunConfig run_config, load_run_config(layout.config(), {}));
  PLUMBLINE_TRY(serve_run(layout, run_config, options.workers));
  say("[3/3] Evaluated and reported.");
  return print_summary(layout);
}

}  // namespace

void add_quickstart(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand(
      "quickstart", "Curate simulated protein pairs, train a small model from scratch, evaluate, report");
  auto options = std::make_shared<QuickstartOptions>();
  command->add_option("--run", options->run, "Run directory; the dataset goes beside it, with -data at the end")
      ->capture_default_str();
  command->add_option("--workers", options->workers, "Workers to train on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_option("--set", options->set, "Override a key of configs/quickstart.yaml: --set key=value (repeatable)")
      ->take_all();
  command->add_flag("--replace", options->replace, "Remove an earlier quickstart run and start again");
  command->callback([options, &body] { body = [options] { return run_quickstart(*options); }; });
}

}  // namespace plumbline
