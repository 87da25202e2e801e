// `plumbline curate RECIPE --out DIR`: makes a dataset of a recipe's examples.
#include "coordinator/curate/curate.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/core/log.hpp"
#include "coordinator/command/command.hpp"

namespace plumbline {
namespace {

struct CurateCommand {
  std::string recipe, out;
  std::vector<std::string> sources;
  bool replace = false;
};

Result<std::map<std::string, std::filesystem::path>> parse_sources(const std::vector<std::string>& items) {
  std::map<std::string, std::filesystem::path> paths;
  for (const std::string& item : items) {
    const auto equals = item.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == item.size())
      return usage_error("--source " + item + " names no file", "",
                         "Write it as --source NAME=PATH, with a NAME of the recipe's sources.");
    if (!paths.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
      return usage_error("--source " + item.substr(0, equals) + " is given twice");
  }
  return paths;
}

/// Counts of one norm and part, as provenance has them.
std::int64_t total(const Json& counts, const std::string& norm, const char* part) {
  std::int64_t sum = 0;
  for (const auto& [kind, count] : counts.at(norm).at(part).items()) sum += count.get<std::int64_t>();
  return sum;
}

void print_summary(const DatasetInfo& info, const std::string& out) {
  const Json& counts = info.provenance.at("counts");
  std::printf("\n%-24s %10s %10s %10s  %s\n", "norm", "train", "held out", "judge", "judged by");
  for (const Norm& norm : info.norms) {
    const bool learned = norm.judge == JudgeKind::kClassifier;
    const std::string judge =
        learned ? fmt::format("a classifier, right in {:.1f}% of its held-out outputs", 100 * norm.classifier_accuracy)
                : "rules";
    std::printf(
        "%-24s %10lld %10lld %10lld  %s\n", norm.name.c_str(),
        static_cast<long long>(total(counts, norm.name, "train")),
        static_cast<long long>(total(counts, norm.name, "heldout")),
        static_cast<long long>(total(counts, norm.name, "judge_train") + total(counts, norm.name, "judge_heldout")),
        judge.c_str());
  }
  std::printf("\n%lld of %lld examples left out. The data card says why, with line numbers:\n  %s\n",
              static_cast<long long>(info.provenance.at("examples_left_out").get<std::int64_t>()),
              static_cast<long long>(info.provenance.at("examples_read").get<std::int64_t>()),
              (std::filesystem::path(out) / "README.md").c_str());
}

Status run_curate(const CurateCommand& command) {
  PLUMBLINE_TRY(init_log({}));
  PLUMBLINE_ASSIGN(auto paths, parse_sources(command.sources));
  PLUMBLINE_ASSIGN(const DatasetInfo info, curate({.recipe = command.recipe,
                                                   .out = command.out,
                                                   .source_paths = std::move(paths),
                                                   .replace = command.replace}));
  print_summary(info, command.out);
  return {};
}

}  // namespace

void add_curate(CLI::App& app, CommandBody& body) {
  auto* command =
      app.add_subcommand("curate", "Check, split and tokenise a recipe's examples into a dataset with a data card");
  auto options = std::make_shared<CurateCommand>();
  command
      ->add_option("RECIPE", options->recipe,
                   "Recipe (YAML): the norms, and where their examples are; docs/writing-norms.md explains it")
      ->required();
  command->add_option("--out", options->out, "Folder for the dataset")->required();
  command
      ->add_option("--source", options->sources,
                   "Read a source from another place than the recipe says: --source NAME=PATH (repeatable)")
      ->take_all();
  command->add_flag("--replace", options->replace, "Put the new dataset in the place of an earlier one at DIR");
  command->footer(
      "Writes shards (HDF5), dataset.json and README.md, the data card: counts, lengths, and what was left out and "
      "why, with\n"
      "line numbers. On an error nothing is left at DIR.");
  command->callback([options, &body] { body = [options] { return run_curate(*options); }; });
}

}  // namespace plumbline
