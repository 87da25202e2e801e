#include "coordinator/generate/generate.hpp"

#include <cmath>

#include "coordinator/generate/answering_worker.hpp"
#include "coordinator/generate/output.hpp"
#include "coordinator/generate/sources.hpp"
#include "coordinator/inspect/table.hpp"
#include "coordinator/journal/model_folder.hpp"

namespace plumbline {

namespace {

constexpr std::int64_t kWindowBatches = 64;

void count(GenerateCounts& counts, const ReadWindow& read, const std::vector<Answer>& answers) {
  counts.sources += std::ssize(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    counts.outputs += std::ssize(answers[i].outputs);
    for (const WrittenOutput& output : answers[i].outputs) counts.incomplete += output.complete ? 0 : 1;
    if (answers[i].cut && counts.cut++ == 0) counts.first_cut = read.where[i];
  }
}

}  // namespace

Status check_options(const GenerateOptions& options) {
  const GenerationTask& task = options.task;
  const bool draws = task.temperature > 0;
  if (!(task.temperature >= 0) || !std::isfinite(task.temperature))
    return usage_error("the temperature must be a number, 0 or above", "--temperature");
  if (!(task.top_p > 0 && task.top_p <= 1)) return usage_error("it must be a number above 0 and at most 1", "--top-p");
  if (!std::isfinite(task.length_penalty)) return usage_error("it must be a number", "--length-penalty");
  if (task.beams > 1 && draws)
    return usage_error("outputs are either drawn or searched with beams", "--beams, --temperature",
                       "Give one of them.");
  if (!draws && (task.top_k != 0 || task.top_p != 1))
    return usage_error("without a temperature nothing is drawn", "--top-k, --top-p",
                       "Give --temperature, for example 1.");
  if (!draws && task.samples > 1)
    return usage_error("without a temperature all outputs of a source would be the same", "--samples",
                       "Give --temperature, for example 1.");
  if (task.beams == 1 && (task.length_penalty != 1 || task.early_stopping))
    return usage_error("they say how beams are searched, and there is one", "--length-penalty, --early-stopping",
                       "Give --beams, for example 4.");
  return {};
}

Result<GenerateCounts> generate(const GenerateOptions& options, const GenerateProgress& progress) {
  PLUMBLINE_TRY(check_options(options));
  GenerationTask task = options.task;
  PLUMBLINE_ASSIGN(const auto folder, model_folder(options.model));
  task.model = folder.string();
  const LineForm form = options.json ? LineForm::kJson : LineForm::kPlain;
  const std::int64_t max_sources = options.max_sources > 0 ? options.max_sources : kWindowBatches * task.batch_rows;
  PLUMBLINE_ASSIGN(SourceReader sources, SourceReader::open(options.input, form));
  PLUMBLINE_ASSIGN(Output output, Output::open(options.out, options.replace));
  PLUMBLINE_ASSIGN(AnsweringWorker worker, AnsweringWorker::start(task, options.threads));
  GenerateCounts counts;
  for (;;) {
    PLUMBLINE_ASSIGN(const ReadWindow read, read_window(sources, counts.sources, max_sources));
    if (read.window.sources.empty()) break;
    std::int64_t done = counts.sources;
    PLUMBLINE_ASSIGN(const auto answers, worker.answer(read.window, [&] { progress(++done); }));
    std::string lines;
    for (std::size_t i = 0; i < answers.size(); ++i) lines += lines_of(read.window.sources[i], answers[i], form);
    PLUMBLINE_ASSIGN(counts.is_read, output.write(options.for_terminal ? printable_lines(lines) : lines));
    if (!counts.is_read) return counts;
    count(counts, read, answers);
  }
  PLUMBLINE_TRY(worker.finish());
  PLUMBLINE_TRY(output.commit());
  return counts;
}

}  // namespace plumbline
