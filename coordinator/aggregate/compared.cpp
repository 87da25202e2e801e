#include "coordinator/aggregate/compared.hpp"

#include <fmt/format.h>

#include <set>
#include <system_error>

#include "common/data/plan.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

std::string key_of(const std::string& name) { return "compare." + name; }

std::string dataset_hash_in(const std::vector<JournalEntry>& entries) {
  for (const JournalEntry& entry : entries)
    if (entry.event == "run_created" && entry.data.contains("dataset_hash") &&
        entry.data.at("dataset_hash").is_string())
      return entry.data.at("dataset_hash").get<std::string>();
  return "";
}

Result<std::vector<EvaluationRow>> read_one(const std::string& name, const fs::path& folder,
                                            const std::string& dataset_hash) {
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
  if (dataset_hash_in(entries) != dataset_hash)
    return usage_error(fmt::format("the run at {} has another dataset (its content hash differs)", folder.string()),
                       key_of(name), "Only runs on the same dataset answer the same held-out examples.");
  return read_evaluation(layout.evaluation_rows(record.checkpoint->step));
}

}  // namespace

Result<ComparedRuns> read_compared(const std::map<std::string, std::string>& runs, const std::string& dataset_hash) {
  ComparedRuns compared;
  for (const auto& [name, folder] : runs) {
    PLUMBLINE_ASSIGN(compared[name], read_one(name, folder, dataset_hash));
  }
  return compared;
}

Status check_compared_rows(const ComparedRuns& compared, const std::vector<std::int64_t>& rows) {
  for (const auto& [name, theirs] : compared) {
    std::set<std::int64_t> answered;
    for (const EvaluationRow& row : theirs)
      if (row.output) answered.insert(row.row);
    std::size_t missing = 0;
    for (const std::int64_t row : rows) missing += answered.contains(row) ? 0 : 1;
    if (missing > 0)
      return usage_error(fmt::format("that run answered other held-out examples: {} of this run's {} are missing there",
                                     missing, rows.size()),
                         key_of(name), "Give both runs the same seed and the same evaluate.generations.");
  }
  return {};
}

Status check_compared(const RunConfig& config, const Dataset& dataset) {
  PLUMBLINE_ASSIGN(const ComparedRuns compared, read_compared(config.compare, dataset.content_hash()));
  return check_compared_rows(compared, held_out_rows(dataset.held_out(), dataset.info().norms.size(),
                                                     config.evaluate.generations, config.seed));
}

Result<std::string> dataset_hash_of(const RunLayout& layout) {
  PLUMBLINE_ASSIGN(const auto entries, read_journal(layout.journal()));
  const std::string hash = dataset_hash_in(entries);
  if (hash.empty()) return data_error("the journal does not say which dataset the run has", layout.journal().string());
  return hash;
}

}  // namespace plumbline
