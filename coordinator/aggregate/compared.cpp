#include "coordinator/aggregate/compared.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "common/data/plan.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

std::string key_of(const std::string& name) { return "compare." + name; }

Result<std::vector<EvaluationRow>> read_one(const std::string& name, const fs::path& folder) {
  const RunLayout layout(folder);
  std::error_code ignored;
  if (!fs::exists(layout.journal(), ignored))
    return usage_error(fmt::format("there is no run at {}", folder.string()), key_of(name),
                       "Name the directory of a finished run.");
  PLUMBLINE_ASSIGN(const auto entries, read_journal(layout.journal()));
  const RunRecord record = replay(entries);
  if (record.outcome != "finished" || !record.checkpoint)
    return usage_error(fmt::format("the run at {} is not finished, so it has no final outputs", folder.string()),
                       key_of(name), fmt::format("Finish it first: plumbline resume {}", folder.string()));
  return read_evaluation(layout.evaluation_rows(record.checkpoint->step));
}

}  // namespace

Result<ComparedRuns> read_compared(const std::map<std::string, std::string>& runs) {
  ComparedRuns compared;
  for (const auto& [name, folder] : runs) {
    PLUMBLINE_ASSIGN(compared[name], read_one(name, folder));
  }
  return compared;
}

Status check_answered(const ComparedRuns& compared, const std::set<ExampleKey>& examples) {
  for (const auto& [name, theirs] : compared) {
    std::set<ExampleKey> answered;
    for (const EvaluationRow& row : theirs)
      if (row.output) answered.insert({row.norm, row.id});
    const auto missing = std::count_if(examples.begin(), examples.end(),
                                       [&](const ExampleKey& example) { return !answered.contains(example); });
    if (missing > 0)
      return usage_error(
          fmt::format("that run did not answer {} of the {} held-out examples that this run answers", missing,
                      examples.size()),
          key_of(name),
          "Give both runs the same held-out examples (a recipe takes those of another dataset with `format: dataset`), "
          "the same seed and the same evaluate.generations.");
  }
  return {};
}

Status check_compared(const RunConfig& config, const Dataset& dataset) {
  PLUMBLINE_ASSIGN(const ComparedRuns compared, read_compared(config.compare));
  const Split& split = dataset.held_out();
  std::set<ExampleKey> examples;
  for (const std::int64_t row :
       held_out_rows(split, dataset.info().norms.size(), config.evaluate.generations, config.seed))
    examples.insert({dataset.info().norms[split.norm(row)].name, to_string(split.id(row))});
  return check_answered(compared, examples);
}

}  // namespace plumbline
