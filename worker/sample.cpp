#include "worker/sample.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "common/core/files.hpp"
#include "common/record/json_lines.hpp"
#include "worker/batch/batch.hpp"
#include "worker/generate/alignment_constraint.hpp"
#include "worker/generate/repair.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

std::vector<std::int64_t> rows_of(const std::vector<std::vector<std::int64_t>>& batches, SamplingShare share) {
  std::vector<std::int64_t> rows;
  for (auto b = static_cast<std::size_t>(share.index); b < batches.size(); b += static_cast<std::size_t>(share.count))
    rows.insert(rows.end(), batches[b].begin(), batches[b].end());
  return rows;
}

/// How many of the share's rows `out` answers already. What stands behind the last whole line is cut off.
Result<std::size_t> take_up(const fs::path& out, const std::vector<std::int64_t>& rows, int samples) {
  std::error_code ec;
  if (!fs::exists(out, ec)) return std::size_t{0};
  PLUMBLINE_ASSIGN(const std::string text, read_file(out));
  std::size_t done = 0;
  PLUMBLINE_TRY(for_each_json_line(
      text, out.string(), LastLine::kMayBeCut, [&](const Json& json, const std::string& where) -> Status {
        PLUMBLINE_ASSIGN(const SampledRow sampled, sampled_row_from_json(json, where));
        if (done == rows.size() || sampled.row != rows[done] ||
            sampled.outputs.size() != static_cast<std::size_t>(samples))
          return data_error("these are not this task's samples", where, "Remove the folder and begin anew.");
        ++done;
        return {};
      }));
  const std::size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (whole < text.size()) fs::resize_file(out, whole, ec);
  if (ec) return run_error("the file cannot be cut to its whole lines: " + ec.message(), out.string());
  return done;
}

/// What a batch's sources are answered with: the greedy outputs, then the sampled ones.
struct SampledOutputs {
  std::vector<OutputKey> keys;
  std::vector<Generated> written;
};

SampledOutputs write_outputs(const T5& model, const SamplingTask& task, const Batch& batch) {
  SampledOutputs outputs;
  outputs.written = generate_greedy(model, batch.source_BS, batch.source_mask_BS, task.max_new_tokens);
  std::vector<OutputKey> drawn;
  for (std::size_t b = 0; b < batch.rows.size(); ++b) {
    const auto row = static_cast<std::uint64_t>(batch.rows[b]);
    outputs.keys.push_back({static_cast<std::int64_t>(b), row, 0});
    for (int s = 1; s < task.samples; ++s)
      drawn.push_back({static_cast<std::int64_t>(b), row, static_cast<std::uint64_t>(s)});
  }
  Decoding decoding;
  decoding.max_new_tokens = task.max_new_tokens;
  decoding.temperature = task.temperature;
  decoding.top_k = task.top_k;
  decoding.top_p = task.top_p;
  decoding.seed = task.seed;
  const auto sampled = generate(model, batch.source_BS, batch.source_mask_BS, decoding, drawn);
  outputs.keys.insert(outputs.keys.end(), drawn.begin(), drawn.end());
  outputs.written.insert(outputs.written.end(), sampled.begin(), sampled.end());
  return outputs;
}

/// By output: its repair, where it is no alignment and the alignment that was made of it is complete.
Result<std::vector<std::optional<std::string>>> repair_outputs(const T5& model, const Tokenizer& tokenizer,
                                                               const SamplingTask& task, const RuleSet& rules,
                                                               const std::vector<std::string>& source_of_row,
                                                               const Batch& batch, const SampledOutputs& outputs) {
  std::vector<std::optional<std::string>> repaired(outputs.keys.size());
  std::vector<std::string> sources;
  for (const OutputKey& key : outputs.keys) sources.push_back(source_of_row[static_cast<std::size_t>(key.batch_row)]);
  PLUMBLINE_ASSIGN(const auto checking, AlignmentConstraint::make(rules, tokenizer, sources));
  std::vector<std::size_t> broken;
  SampledOutputs refused;
  for (std::size_t o = 0; o < outputs.keys.size(); ++o) {
    const Generated& written = outputs.written[o];
    if (!written.complete ||
        accepted_tokens(*checking, o, written.tokens, task.max_new_tokens) == written.tokens.size())
      continue;
    sources[broken.size()] = sources[o];
    broken.push_back(o);
    refused.keys.push_back(outputs.keys[o]);
    refused.written.push_back(written);
  }
  sources.resize(broken.size());
  PLUMBLINE_ASSIGN(const auto constraint, AlignmentConstraint::make(rules, tokenizer, sources));
  const auto valid = repair(model, batch.source_BS, batch.source_mask_BS, task.max_new_tokens, refused.keys,
                            refused.written, *constraint);
  for (std::size_t i = 0; i < broken.size(); ++i)
    if (valid[i].complete) repaired[broken[i]] = tokenizer.decode(valid[i].tokens);
  return repaired;
}

Result<std::vector<SampledRow>> sample_batch(const T5& model, const Tokenizer& tokenizer, const SamplingTask& task,
                                             const RuleSet& rules, const Split& split, const Batch& batch) {
  const SampledOutputs outputs = write_outputs(model, task, batch);
  std::vector<std::optional<std::string>> repaired(outputs.keys.size());
  if (task.repair) {
    std::vector<std::string> sources;
    for (const std::int64_t row : batch.rows) sources.push_back(text_of(tokenizer, split.tokens(row, Side::kSource)));
    PLUMBLINE_ASSIGN(repaired, repair_outputs(model, tokenizer, task, rules, sources, batch, outputs));
  }
  std::vector<SampledRow> sampled(batch.rows.size());
  for (std::size_t b = 0; b < batch.rows.size(); ++b) sampled[b].row = batch.rows[b];
  for (std::size_t o = 0; o < outputs.keys.size(); ++o) {
    SampledRow& row = sampled[static_cast<std::size_t>(outputs.keys[o].batch_row)];
    row.outputs.push_back(tokenizer.decode(outputs.written[o].tokens));
    row.complete.push_back(outputs.written[o].complete);
    row.repaired.push_back(std::move(repaired[o]));
  }
  return sampled;
}

}  // namespace

Result<SamplingShare> parse_share(const std::string& text) {
  SamplingShare share;
  const char* end = text.data() + text.size();
  const auto [slash, bad_index] = std::from_chars(text.data(), end, share.index);
  if (bad_index == std::errc() && slash != end && *slash == '/') {
    const auto [rest, bad_count] = std::from_chars(slash + 1, end, share.count);
    if (bad_count == std::errc() && rest == end && share.index >= 0 && share.index < share.count) return share;
  }
  return usage_error("a share is INDEX/COUNT, counted from 0, as in 1/4: " + text, "--share");
}

Status sample(const SamplingTask& task, SamplingShare share, const fs::path& out, at::Device device) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(task.data, Verify::kSizes));
  PLUMBLINE_ASSIGN(const auto batches, sampling_batches(dataset, task));
  PLUMBLINE_ASSIGN(const auto model, load_model(task.model, device));
  const auto packed = model->packed();  // For all its batches.
  if (model->config().vocab_size < dataset.info().vocab_size)
    return data_error("the model's vocabulary of " + std::to_string(model->config().vocab_size) +
                          " is smaller than the dataset's of " + std::to_string(dataset.info().vocab_size),
                      task.model, "Use a model that was trained on the dataset's tokenizer.");
  const auto& norms = dataset.info().norms;
  const auto norm = std::find_if(norms.begin(), norms.end(), [&](const Norm& n) { return n.name == task.norm; });
  PLUMBLINE_ASSIGN(std::size_t done, take_up(out, rows_of(batches, share), task.samples));
  std::ofstream lines(out, std::ios::binary | std::ios::app);
  for (auto b = static_cast<std::size_t>(share.index); b < batches.size(); b += static_cast<std::size_t>(share.count)) {
    if (done >= batches[b].size()) {
      done -= batches[b].size();
      continue;
    }
    const Batch batch = make_batch(dataset.train(), batches[b], task.max_source_tokens, 1, device);
    PLUMBLINE_ASSIGN(const auto sampled,
                     sample_batch(*model, dataset.tokenizer(), task, norm->rules, dataset.train(), batch));
    for (std::size_t i = done; i < sampled.size(); ++i) lines << to_line(to_json(sampled[i])) << '\n';
    done = 0;
    if (!lines.flush()) return run_error("the samples cannot be written (is the disk full?)", out.string());
  }
  return {};
}

}  // namespace plumbline
