// `plumbline inspect PATH`: what lies there, for a person or as JSON.
#include <cstdio>
#include <memory>

#include "coordinator/command/command.hpp"
#include "coordinator/inspect/describe.hpp"
#include "coordinator/inspect/text.hpp"

namespace plumbline {
namespace {

struct Options {
  std::string path;
  bool json = false;
  InspectOptions inspect;
};

Status run_inspect(const Options& options) {
  PLUMBLINE_ASSIGN(const Json description, describe(options.path, options.inspect));
  const std::string text = options.json ? to_line(description) + "\n" : to_text(description);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

void add_inspect(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand(
      "inspect", "Show what a dataset, shard, checkpoint, snapshot or run directory holds, and check that it is sound");
  auto options = std::make_shared<Options>();
  command->add_option("PATH", options->path, "A folder or file; what it is, is told by its content")->required();
  command->add_flag("--json", options->json, "Print one JSON object, with whole texts and every number");
  command->add_option("--rows", options->inspect.rows, "Sample rows shown of each split of a dataset or shard")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--norm", options->inspect.norm, "Sample rows of this norm only");
  command->add_option("--split", options->inspect.split, "Sample rows of this split only: train or heldout");
  command->callback([options, &body] { body = [options] { return run_inspect(*options); }; });
}

}  // namespace plumbline
