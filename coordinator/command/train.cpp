// `plumbline train CONFIG`: a new run, from its configuration to its report.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "coordinator/command/command.hpp"
#include "coordinator/command/options.hpp"
#include "coordinator/launch/launch.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

struct TrainOptions {
  std::string config, run, data, launcher;
  int workers = 0;  ///< 0: the configuration's
  std::vector<std::string> set;
};

/// Whatever is said on the command line goes into the run's configuration, so that a resumed run finds it there.
Result<std::vector<Override>> overrides_of(const TrainOptions& options) {
  PLUMBLINE_ASSIGN(auto overrides, parse_overrides(options.set));
  if (!options.data.empty()) overrides.push_back(text_override("data", options.data));
  if (options.workers > 0) overrides.push_back({"workers.count", std::to_string(options.workers)});
  if (!options.launcher.empty()) overrides.push_back(text_override("workers.launcher", options.launcher));
  return overrides;
}

Result<fs::path> run_directory(const TrainOptions& options, const RunConfig& config) {
  if (!options.run.empty()) return fs::path(options.run);
  return default_run_directory(config);
}

Status run_train(const TrainOptions& options) {
  PLUMBLINE_ASSIGN(const auto overrides, overrides_of(options));
  PLUMBLINE_ASSIGN(const RunConfig config, load_run_config(options.config, overrides));
  PLUMBLINE_ASSIGN(const fs::path directory, run_directory(options, config));
  const RunLayout layout(directory);
  PLUMBLINE_TRY(create_run(layout, config));
  PLUMBLINE_ASSIGN(const RunConfig resolved, load_run_config(layout.config(), {}));
  PLUMBLINE_ASSIGN(const RunOutcome outcome, serve_run(layout, resolved, std::nullopt));
  print_outcome(layout, outcome);
  return {};
}

}  // namespace

void add_train(CLI::App& app, CommandBody& body) {
  auto* command =
      app.add_subcommand("train", "Train a new run: from a configuration to an aligned model and its report");
  auto options = std::make_shared<TrainOptions>();
  command->add_option("CONFIG", options->config, "Configuration (YAML); docs/configuration.md lists every key")
      ->required();
  command->add_option("--run", options->run, "Run directory to make; by default runs/ and the configuration's name");
  command->add_option("--data", options->data,
                      "Dataset folder made by `plumbline curate`, instead of the configuration's");
  command->add_option("--workers", options->workers, "Workers, instead of the configuration's workers.count")
      ->check(CLI::Range(1, kMostWorkers));
  command
      ->add_option("--launcher", options->launcher,
                   "Who starts the workers: auto, local, mpirun, srun (inside a Slurm job), external (you do)")
      ->check(CLI::IsMember({"auto", "local", "mpirun", "srun", "external"}));
  command->add_option("--set", options->set, "Override a key of the configuration: --set key=value (repeatable)")
      ->take_all();
  command->add_flag_callback(
      "--help-config",
      [] {
        std::printf("%s", configuration_reference().c_str());
        throw CLI::Success();
      },
      "Print every key of a configuration with its meaning, default and bounds");
  command->callback([options, &body] { body = [options] { return run_train(*options); }; });
}

}  // namespace plumbline
