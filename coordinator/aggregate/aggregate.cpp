#include "coordinator/aggregate/aggregate.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <set>
#include <system_error>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/files.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/snapshot.hpp"
#include "coordinator/aggregate/compared.hpp"
#include "coordinator/aggregate/judged.hpp"
#include "coordinator/aggregate/probe.hpp"
#include "coordinator/aggregate/summary.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// Steps with parts of snapshots, and how many each has.
std::map<Step, int> parts_in(const RunLayout& layout) {
  std::map<Step, int> parts;
  std::error_code ec;
  for (fs::directory_iterator entry(layout.snapshots(), ec), end; !ec && entry != end; entry.increment(ec)) {
    const std::string name = entry->path().filename().string();
    std::int64_t step = 0;
    int rank = 0;
    if (std::sscanf(name.c_str(), ".step-%ld.rank-%d.h5", &step, &rank) == 2 &&
        layout.snapshot_part(Step(step), rank).filename() == name)
      ++parts[Step(step)];
  }
  return parts;
}

/// Those of every rank: an earlier start may have had more workers.
void remove_parts(const RunLayout& layout, Step step) {
  const fs::path first = layout.snapshot_part(step, 0);
  const std::string name = first.filename().string();
  const std::string start = name.substr(0, name.rfind("rank-"));
  std::vector<fs::path> parts;
  std::error_code ec, ignored;
  for (fs::directory_iterator entry(first.parent_path(), ec), end; !ec && entry != end; entry.increment(ec))
    if (entry->path().filename().string().starts_with(start)) parts.push_back(entry->path());
  for (const fs::path& part : parts) fs::remove(part, ignored);
}

/// The snapshot appears whole or not at all.
Status write_whole(const fs::path& file, const Snapshot& snapshot) {
  const fs::path beside = file.parent_path() / fmt::format(".{}.partial", file.filename().string());
  PLUMBLINE_TRY(write_snapshot(beside, snapshot));
  PLUMBLINE_TRY(fsync_path(beside));
  std::error_code error;
  fs::rename(beside, file, error);
  if (error) return run_error("cannot move the snapshot into place: " + error.message(), file.string());
  return fsync_path(file.parent_path());
}

Status check_norms(const fs::path& file, const std::vector<EvaluationRow>& rows, const DatasetInfo& info) {
  std::set<std::string> known;
  for (const Norm& norm : info.norms) known.insert(norm.name);
  for (const EvaluationRow& row : rows)
    if (!known.contains(row.norm))
      return data_error(fmt::format("row {} names the norm \"{}\", which the dataset does not have", row.row, row.norm),
                        file.string(), "the run was made with another dataset; name the right one under `data`");
  return {};
}

Result<std::vector<EvaluationRow>> read_rows(const RunLayout& layout, Step step, const DatasetInfo& info) {
  const fs::path file = layout.evaluation_rows(step);
  PLUMBLINE_ASSIGN(auto rows, read_evaluation(file));
  PLUMBLINE_TRY(check_norms(file, rows, info));
  return rows;
}

/// The runs that the configuration names, which answered all that this one did.
Result<ComparedRuns> compared_runs(const RunConfig& config, const std::vector<EvaluationRow>& base,
                                   const std::vector<EvaluationRow>& aligned) {
  if (config.compare.empty()) return ComparedRuns{};
  PLUMBLINE_ASSIGN(ComparedRuns compared, read_compared(config.compare));
  std::set<std::int64_t> answered;
  std::set<ExampleKey> examples;
  for (const EvaluationRow& row : base)
    if (row.output) answered.insert(row.row);
  for (const EvaluationRow& row : aligned)
    if (row.output && answered.contains(row.row)) examples.insert({row.norm, row.id});
  PLUMBLINE_TRY(check_answered(compared, examples));
  return compared;
}

/// A folder without a configuration (a test's) has the defaults.
Result<RunConfig> config_of(const RunLayout& layout) {
  std::error_code ignored;
  if (!fs::exists(layout.config(), ignored)) return RunConfig{};
  return load_run_config(layout.config(), {});
}

}  // namespace

Status aggregate_snapshot(const RunLayout& layout, Step step, int world, std::int64_t probe_rows) {
  const fs::path file = layout.snapshot(step);
  std::error_code ignored;
  if (!fs::exists(layout.snapshot_part(step, 0), ignored) && fs::exists(file, ignored)) {
    PLUMBLINE_ASSIGN(const Snapshot merged, read_snapshot(file));  // merged before a restart
    if (static_cast<std::int64_t>(merged.rows()) == probe_rows) return {};
  }
  std::vector<Snapshot> parts;
  for (int rank = 0; rank < world; ++rank) {
    PLUMBLINE_ASSIGN(Snapshot part, read_snapshot(layout.snapshot_part(step, rank)));
    parts.push_back(std::move(part));
  }
  PLUMBLINE_ASSIGN(const Snapshot merged, merge_snapshots(parts, probe_rows));
  PLUMBLINE_TRY(write_whole(file, merged));
  remove_parts(layout, step);
  return {};
}

std::vector<Step> aggregate_left_snapshots(const RunLayout& layout, std::int64_t probe_rows) {
  std::error_code ignored;
  std::vector<Step> lost;
  for (const auto& [step, parts] : parts_in(layout)) {
    bool whole = fs::exists(layout.snapshot(step), ignored);
    for (int world = 1; world <= parts && !whole; ++world)
      whole = aggregate_snapshot(layout, step, world, probe_rows).has_value();
    if (whole)
      remove_parts(layout, step);
    else
      lost.push_back(step);
  }
  return lost;
}

Status write_summary(const RunLayout& layout, const Dataset& dataset, Step final_step,
                     const std::string& weights_sha256) {
  return write_summary(layout, dataset.info(), dataset.folder(), final_step, weights_sha256);
}

Status write_summary(const RunLayout& layout, const DatasetInfo& info, const fs::path& folder, Step final_step,
                     const std::string& weights_sha256) {
  PLUMBLINE_ASSIGN(const auto base, read_rows(layout, Step(0), info));
  PLUMBLINE_ASSIGN(const auto aligned, read_rows(layout, final_step, info));
  PLUMBLINE_ASSIGN(const RunConfig config, config_of(layout));
  PLUMBLINE_ASSIGN(const ComparedRuns compared, compared_runs(config, base, aligned));
  Judged judged{final_step.value(), info.norms, {}};
  Json norms = Json::object();
  for (const Norm& norm : info.norms) {
    PLUMBLINE_ASSIGN(const auto judge, make_judge(norm, folder.string()));
    PLUMBLINE_ASSIGN(const auto rule_judge, make_rule_judge(norm.rules, "the rules of norm " + norm.name));
    const auto rows = judge_rows(norm, *judge, *rule_judge, base, aligned, compared);
    norms[norm.name] = summarize_norm(norm, rows, preference_accuracy(norm.name, base, aligned));
    judged.rows.insert(judged.rows.end(), rows.begin(), rows.end());
  }
  Json summary = {{"step", final_step.value()}, {"weights_sha256", weights_sha256}, {"norms", std::move(norms)}};
  std::error_code ignored;
  if (fs::exists(layout.snapshot(final_step), ignored)) {
    PLUMBLINE_ASSIGN(const Snapshot snapshot, read_snapshot(layout.snapshot(final_step)));
    summary["probe"] = probe_snapshot(snapshot, config.snapshot.sizes);
  }
  PLUMBLINE_TRY(write_judged(layout, judged));
  // Last: a reader who finds summary.json finds everything that it speaks of.
  return write_file_atomically(layout.summary(), dump_text(summary, 2) + "\n");
}

}  // namespace plumbline
