#include "coordinator/refine/refine.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>

#include "common/config/weight_files.hpp"
#include "common/core/file_descriptor.hpp"
#include "common/core/files.hpp"
#include "coordinator/journal/model_folder.hpp"
#include "coordinator/launch/process.hpp"
#include "coordinator/refine/parts.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr int kBetweenLooksMs = 500;
constexpr std::size_t kLogTailBytes = 2000;

Result<const Norm*> find_norm(const Dataset& dataset, const std::string& name) {
  const auto& norms = dataset.info().norms;
  std::string known;
  for (const Norm& norm : norms) {
    if (norm.name == name || (name.empty() && norms.size() == 1)) return &norm;
    known += (known.empty() ? "" : ", ") + norm.name;
  }
  return usage_error(name.empty() ? "the dataset has several norms" : "the dataset has no norm " + name,
                     dataset.folder().string(), "Choose one with --norm: " + known + ".");
}

/// The longest source that the training examples have: nothing is cut.
int longest_source(const Split& split) {
  std::int32_t longest = 2;
  for (std::int64_t row = 0; row < split.size(); ++row) longest = std::max(longest, split.length(row, Side::kSource));
  return longest;
}

/// The folder of parts, new or left by an interrupted call with the same task, locked for this call.
Result<FileDescriptor> open_parts(const fs::path& parts, const Json& task, bool replace) {
  std::error_code ec;
  fs::create_directories(parts, ec);
  FileDescriptor lock(::open(parts.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock)
    return environment_error("the folder cannot be made: " + std::string(std::strerror(errno)), parts.string());
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return usage_error("another refine is at work here", parts.string(),
                       "Wait for it, or name another file with --out.");
  if (replace)
    for (const auto& entry : fs::directory_iterator(parts, ec)) fs::remove_all(entry.path(), ec);
  if (fs::exists(task_file(parts), ec)) {
    const auto saved = read_json_file(task_file(parts));
    if (saved.has_value() && saved.value() == task) return lock;
    return usage_error("this folder holds samples of a call with other settings", parts.string(),
                       "Call it as before to go on, or with --replace to begin anew.");
  }
  PLUMBLINE_TRY(write_file_atomically(task_file(parts), task.dump(2) + "\n"));
  return lock;
}

fs::path log_file(const fs::path& parts, int process) { return parts / fmt::format("worker-{:04}.log", process); }

std::string tail_of(const fs::path& log) {
  const auto text = read_file(log);
  if (!text.has_value()) return "";
  return text->size() <= kLogTailBytes ? *text : "…" + text->substr(text->size() - kLogTailBytes);
}

/// Worker processes, until all have ended well or one has not; leaving it early ends the rest.
class Workers {
 public:
  Status start(const fs::path& parts, int processes) {
    const fs::path program = worker_program();
    PLUMBLINE_TRY(check_worker_program(program));
    for (int p = 0; p < processes; ++p) {
      ProcessSpec spec;
      spec.argv = {program.string(),
                   "--sample",
                   task_file(parts).string(),
                   "--out",
                   part_file(parts, p, processes).string(),
                   "--share",
                   fmt::format("{}/{}", p, processes)};
      spec.environment = worker_environment("refine");
      spec.log = log_file(parts, p);
      std::error_code ignored;
      fs::remove(spec.log, ignored);
      PLUMBLINE_ASSIGN(groups_[p], start_process(spec));
    }
    return {};
  }
  /// Waits a moment; an error when a worker failed. True while some are at work.
  Result<bool> at_work(const fs::path& parts) {
    std::vector<pollfd> ended;
    std::vector<int> processes;
    for (const auto& [process, group] : groups_) {
      ended.push_back({group->pidfd(), POLLIN, 0});
      processes.push_back(process);
    }
    if (ended.empty()) return false;
    ::poll(ended.data(), ended.size(), kBetweenLooksMs);
    for (std::size_t i = 0; i < ended.size(); ++i) {
      if (ended[i].revents == 0) continue;
      const GroupExit exit = groups_.at(processes[i])->wait();
      groups_.erase(processes[i]);
      if (exit.status != 0)
        return run_error("a worker " + exit.description + ":\n" + tail_of(log_file(parts, processes[i])),
                         parts.string(), "What was sampled is kept: call refine again to go on.");
    }
    return !groups_.empty();
  }

 private:
  std::map<int, std::unique_ptr<WorkerGroup>> groups_;
};

Json example_line(const std::string& source, const Choice& choice, const SampledRow& sampled) {
  Json line{{"source", source}};
  if (choice.desired) line["desired"] = *choice.desired;
  if (choice.undesired) line["undesired"] = *choice.undesired;
  line["row"] = sampled.row;
  line["samples"] = sampled.outputs.size();
  line["accepted"] = choice.accepted;
  line["rejected"] = choice.rejected;
  return line;
}

void count(RefineCounts& counts, const Choice& choice, const SampledRow& sampled, std::size_t repaired) {
  ++counts.sources;
  counts.outputs += static_cast<std::int64_t>(sampled.outputs.size());
  counts.accepted += choice.accepted;
  counts.rejected += choice.rejected;
  const auto pairs = static_cast<std::int64_t>(repaired);
  counts.desired_own += pairs > 0 ? pairs : choice.desired_is_own ? 1 : 0;
  if (pairs > 0)
    counts.preferences += pairs;
  else if (choice.desired && choice.undesired)
    ++counts.preferences;
  else if (choice.desired)
    ++counts.demonstrations;
  else if (choice.undesired)
    ++counts.prohibitions;
  else
    ++counts.skipped;
}

/// Judges the samples and writes OUT, whole or not at all.
Result<RefineCounts> write_examples(const RefineOptions& options, const Dataset& dataset, const Norm& norm,
                                    const SamplingTask& task, const std::vector<std::vector<std::int64_t>>& batches,
                                    const fs::path& parts) {
  PLUMBLINE_ASSIGN(const auto judge, make_judge(norm, dataset.folder().string()));
  const Split& split = dataset.train();
  const auto text = [&](std::int64_t row, Side side) { return text_of(dataset.tokenizer(), split.tokens(row, side)); };
  const fs::path unfinished = parts / "examples.jsonl";
  std::ofstream out(unfinished, std::ios::binary | std::ios::trunc);
  RefineCounts counts;
  PLUMBLINE_TRY(for_each_sampled_row(parts, options.workers, batches, task.samples, [&](const SampledRow& sampled) {
    const std::string source = text(sampled.row, Side::kSource);
    std::optional<std::string> given;
    if (split.kind(sampled.row) != ExampleKind::kProhibition) given = text(sampled.row, Side::kDesired);
    Choice choice = choose(norm, *judge, source, given, sampled, options.desired);
    const auto repaired = options.repair ? repaired_outputs(*judge, source, sampled) : std::vector<Repaired>();
    if (options.repair) choice.undesired.reset();  // Where it could be repaired, it is among the repaired.
    count(counts, choice, sampled, repaired.size());
    for (const Repaired& pair : repaired) {
      choice.desired = pair.desired;
      choice.undesired = pair.undesired;
      out << to_line(example_line(source, choice, sampled)) << '\n';
    }
    if (repaired.empty() && (choice.desired || choice.undesired))
      out << to_line(example_line(source, choice, sampled)) << '\n';
    return Status{};
  }));
  out.close();
  if (!out) return run_error("the examples cannot be written (is the disk full?)", unfinished.string());
  PLUMBLINE_TRY(fsync_path(unfinished));
  std::error_code ec;
  fs::rename(unfinished, options.out, ec);
  if (ec) return run_error("the file cannot be put in its place: " + ec.message(), options.out.string());
  fs::remove_all(parts, ec);
  return counts;
}

}  // namespace

Result<RefineCounts> refine(const RefineOptions& options, const RefineProgress& progress) {
  std::error_code ec;
  if (fs::exists(options.out, ec) && !options.replace)
    return usage_error("the file is there already", options.out.string(), "Name another, or give --replace.");
  if (!(options.temperature > 0 && options.top_p > 0 && options.top_p <= 1))
    return usage_error("the temperature must be a number above 0, and top-p one above 0 and at most 1",
                       "--temperature, --top-p");
  if (!options.out.parent_path().empty()) fs::create_directories(options.out.parent_path(), ec);
  PLUMBLINE_ASSIGN(const fs::path model, model_folder(options.model));
  PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(options.data));
  PLUMBLINE_ASSIGN(const Norm* norm, find_norm(dataset, options.norm));
  PLUMBLINE_TRY(make_judge(*norm, dataset.folder().string()));  // Now, not when all is sampled.
  if (options.repair && !norm->rules.alignment)
    return usage_error("only alignments can be repaired, and the norm " + norm->name + " has no rule alignment",
                       "--repair");
  SamplingTask task;
  task.model = model.string();
  task.data = fs::absolute(options.data, ec).string();
  task.norm = norm->name;
  task.samples = options.samples;
  task.temperature = options.temperature;
  task.top_p = options.top_p;
  task.top_k = options.top_k;
  task.seed = options.seed;
  task.examples = options.examples;
  task.repair = options.repair;
  task.max_source_tokens = longest_source(dataset.train());
  task.max_new_tokens = options.max_new_tokens;
  task.batch_rows = options.batch_rows;
  PLUMBLINE_ASSIGN(const auto batches, sampling_batches(dataset, task));
  std::int64_t all = 0;
  for (const auto& batch : batches) all += static_cast<std::int64_t>(batch.size());

  const fs::path parts = options.out.string() + ".parts";
  Json saved = to_json(task);
  PLUMBLINE_ASSIGN(saved["weights_sha256"], hash_weights(model));  // Another model may take its place.
  saved["dataset_hash"] = dataset.content_hash();
  saved["processes"] = options.workers;
  PLUMBLINE_ASSIGN(const FileDescriptor lock, open_parts(parts, saved, options.replace));
  Workers workers;
  PLUMBLINE_TRY(workers.start(parts, options.workers));
  AnsweredRows answered(parts, options.workers);
  for (;;) {
    PLUMBLINE_ASSIGN(const bool at_work, workers.at_work(parts));
    progress(answered.count(), all);
    if (!at_work) break;
  }
  return write_examples(options, dataset, *norm, task, batches, parts);
}

}  // namespace plumbline
