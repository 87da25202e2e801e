#include "worker/answer.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <istream>
#include <mutex>
#include <numeric>
#include <ostream>
#include <string>
#include <thread>
#include <utility>

#include "common/data/generation.hpp"
#include "common/text/tokenizer.hpp"
#include "worker/activity.hpp"
#include "worker/batch/batch.hpp"
#include "worker/generate/beam.hpp"
#include "worker/generate/generate.hpp"
#include "worker/model/t5.hpp"
#include "worker/out_of_memory.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMaxBatchTokens = 8192;

/// Of what a library throws, which no room turned into an Error.
Error error_of(const std::exception& e) {
  return library_error(e, "the worker that generates", activity().work(),
                       "Lower --batch-rows, --max-new-tokens, --beams, --samples or --threads.");
}

/// Sources that are answered together, as tokens.
struct Sources {
  std::vector<std::vector<std::int64_t>> tokens;
  std::vector<std::int64_t> rows;  ///< their places in the whole input
};

/// The outputs of each source.
using Outputs = std::vector<std::vector<WrittenOutput>>;

Outputs write_with_beams(const T5& model, const Tokenizer& tokenizer, const GenerationTask& task,
                         const SourceTensors& source) {
  BeamSearch search;
  search.beams = task.beams;
  search.max_new_tokens = task.max_new_tokens;
  search.length_penalty = task.length_penalty;
  if (task.early_stopping) search.early_stopping = EarlyStopping::kAtOnce;
  Outputs outputs;
  for (const Hypothesis& found : generate_beams(model, source.tokens_BS, source.mask_BS, search))
    outputs.push_back({{tokenizer.decode(found.tokens), found.complete, found.score}});
  return outputs;
}

/// Greedy, or drawn when there is a temperature.
Outputs write_token_by_token(const T5& model, const Tokenizer& tokenizer, const GenerationTask& task,
                             const SourceTensors& source, const std::vector<std::int64_t>& rows) {
  Decoding decoding;
  decoding.max_new_tokens = task.max_new_tokens;
  decoding.temperature = task.temperature;
  decoding.top_k = task.top_k;
  decoding.top_p = task.top_p;
  decoding.seed = task.seed;
  std::vector<OutputKey> keys;
  for (std::size_t b = 0; b < rows.size(); ++b)
    for (int s = 0; s < task.samples; ++s)
      keys.push_back(
          {static_cast<std::int64_t>(b), static_cast<std::uint64_t>(rows[b]), static_cast<std::uint64_t>(s)});
  const auto written = generate(model, source.tokens_BS, source.mask_BS, decoding, keys);
  Outputs outputs(rows.size());
  for (std::size_t o = 0; o < written.size(); ++o)
    outputs[static_cast<std::size_t>(keys[o].batch_row)].push_back(
        {tokenizer.decode(written[o].tokens), written[o].complete, std::nullopt});
  return outputs;
}

Outputs write_outputs(const T5& model, const Tokenizer& tokenizer, const GenerationTask& task, const Sources& sources) {
  const SourceTensors tensors = source_tensors(sources.tokens, model.parameters().flat().device());
  if (task.beams > 1) return write_with_beams(model, tokenizer, task, tensors);
  return write_token_by_token(model, tokenizer, task, tensors, sources.rows);
}

/// Calls work(i) for every i below `count`, on `threads` threads (this one among them) that each take the next. After
/// an error nothing more is begun; it is the result.
Status on_threads(int threads, std::size_t count, const std::function<Status(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Status result;
  const auto take_turns = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      Status status;
      try {
        status = work(i);
      } catch (const std::exception& e) {
        status = error_of(e);
      }
      if (status.has_value()) continue;
      next = count;
      const std::lock_guard lock(mutex);
      if (result.has_value()) result = std::move(status);
    }
  };
  std::vector<std::thread> others;
  for (std::size_t t = 1; t < std::min(static_cast<std::size_t>(threads), count); ++t) others.emplace_back(take_turns);
  take_turns();
  for (std::thread& other : others) other.join();
  return result;
}

/// Answers every source of a window, a batch a thread: whole batches side by side keep every core busy, where the small
/// products of one step would not. The bits of an answer hang on its batch alone.
Status answer_window(const T5& model, const Tokenizer& tokenizer, const GenerationTask& task,
                     const SourceWindow& window, int threads, std::ostream& out) {
  std::vector<std::vector<std::int64_t>> tokens;
  std::vector<bool> cut;
  std::vector<std::size_t> lengths;
  for (const std::string& source : window.sources) {
    const std::vector<std::int32_t> ids = tokenizer.encode(source);
    tokens.emplace_back(ids.begin(), ids.end());
    cut.push_back(cut_source(tokens.back(), task.max_source_tokens));
    lengths.push_back(tokens.back().size());
  }
  const auto batches = length_batches(lengths, task.batch_rows);
  std::mutex writing;
  return on_threads(threads, batches.size(), [&](std::size_t i) -> Status {
    const std::vector<std::size_t>& batch = batches[batches.size() - 1 - i];  // The longest first: none is waited for.
    Sources sources;
    for (const std::size_t s : batch) {
      sources.tokens.push_back(std::move(tokens[s]));
      sources.rows.push_back(window.first + static_cast<std::int64_t>(s));
    }
    Outputs outputs = write_outputs(model, tokenizer, task, sources);
    const std::lock_guard lock(writing);
    for (std::size_t b = 0; b < batch.size(); ++b)
      out << to_line(to_json(Answer{static_cast<std::int64_t>(batch[b]), cut[batch[b]], std::move(outputs[b])}))
          << '\n';
    if (!out.flush()) return run_error("the answers cannot be written", "standard output");
    return {};
  });
}

/// The tokenizer beside the model: a SentencePiece file, with as many extra ids as tokenizer_config.json says (100
/// where it does not), or bytes.
Result<std::unique_ptr<Tokenizer>> tokenizer_beside(const std::filesystem::path& model) {
  const std::filesystem::path pieces = model / kSentencePieceFile, config = model / "tokenizer_config.json";
  Json json = Json::object();
  std::error_code ec;
  if (std::filesystem::is_regular_file(config, ec)) {
    PLUMBLINE_ASSIGN(json, read_json_file(config));
  }
  if (!std::filesystem::is_regular_file(pieces, ec)) {
    if (!json.is_object() || !json.contains("tokenizer_class") || json["tokenizer_class"] != "T5Tokenizer")
      return make_tokenizer("byte");
    return data_error("the model's tokenizer is T5's, and its file is missing", pieces.string(),
                      "Put the model's spiece.model there.");
  }
  int extra_ids = 100;
  if (json.contains("extra_ids")) {
    PLUMBLINE_ASSIGN(extra_ids, json_get<int>(json, "extra_ids", config.string()));
  }
  if (extra_ids < 0 || extra_ids > kMaxExtraIds)
    return data_error("extra_ids is not between 0 and " + std::to_string(kMaxExtraIds), config.string());
  return load_sentencepiece(pieces, extra_ids);
}

Status answer_all(std::istream& in, std::ostream& out, at::Device device, int threads) {
  const std::string where = "standard input";
  std::string line;
  if (!std::getline(in, line)) return data_error("there is no task", where);
  PLUMBLINE_ASSIGN(const Json json, parse_json(line, where));
  PLUMBLINE_ASSIGN(const GenerationTask task, generation_task_from_json(json, where));
  PLUMBLINE_ASSIGN(const auto tokenizer, tokenizer_beside(task.model));
  PLUMBLINE_ASSIGN(const auto model, load_model(task.model, device));
  const auto packed = model->packed();  // Before threads share the model, and for all its batches.
  if (model->config().vocab_size < tokenizer->vocab_size())
    return data_error("the model's vocabulary of " + std::to_string(model->config().vocab_size) +
                          " is smaller than that of the tokenizer \"" + tokenizer->name() + "\", " +
                          std::to_string(tokenizer->vocab_size()),
                      task.model, "Use a model that was trained on this tokenizer.");
  out << to_line(Json{{"ready", true}}) << std::endl;
  while (std::getline(in, line)) {
    PLUMBLINE_ASSIGN(const Json object, parse_json(line, where));
    PLUMBLINE_ASSIGN(const SourceWindow window, source_window_from_json(object, where));
    PLUMBLINE_TRY(answer_window(*model, *tokenizer, task, window, device.is_cpu() ? threads : 1, out));
  }
  return {};
}

}  // namespace

std::vector<std::vector<std::size_t>> length_batches(const std::vector<std::size_t>& lengths, int batch_rows) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return lengths[a] < lengths[b]; });
  std::vector<std::vector<std::size_t>> batches;
  for (const std::size_t i : order) {
    const bool fits = !batches.empty() && batches.back().size() < static_cast<std::size_t>(batch_rows) &&
                      (batches.back().size() + 1) * lengths[i] <= kMaxBatchTokens;
    if (!fits) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

Status answer(std::istream& in, std::ostream& out, at::Device device, int threads) {
  const at::NoGradGuard no_grad;
  activity().begin_stage("generation", 0);
  Status status;
  try {
    status = answer_all(in, out, device, threads);
  } catch (const std::exception& e) {
    status = error_of(e);
  }
  if (status.has_error()) out << to_line(to_json(status.error())) << std::endl;
  return status;
}

}  // namespace plumbline
