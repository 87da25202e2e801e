#include "worker/evaluate.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "common/data/plan.hpp"
#include "common/text/norm.hpp"
#include "worker/batch/batch.hpp"
#include "worker/generate/alignment_constraint.hpp"
#include "worker/generate/generate.hpp"
#include "worker/kl.hpp"
#include "worker/metrics.hpp"
#include "worker/share.hpp"

namespace plumbline {

namespace {

Batch batch_of(const T5& model, const HeldOut& held_out, const std::vector<std::int64_t>& rows) {
  const TrainConfig& train = held_out.config->train;
  return make_batch(held_out.dataset->held_out(), rows, train.max_source_tokens, train.max_output_tokens,
                    model.parameters().flat().device());
}

/// The rows of a batch with what is known of them from the dataset and the model's log-probs of their outputs.
std::vector<EvaluationRow> scored(const T5& model, const HeldOut& held_out, const Batch& batch) {
  const Split& split = held_out.dataset->held_out();
  std::vector<EvaluationRow> rows;
  for (const std::int64_t row : batch.rows) {
    EvaluationRow r;
    r.row = row;
    r.id = to_string(split.id(row));
    r.norm = held_out.dataset->info().norms[split.norm(row)].name;
    r.source = text_of(*held_out.tokenizer, split.tokens(row, Side::kSource));
    const int limit = held_out.config->train.max_output_tokens;
    r.desired_tokens = std::min(split.length(row, Side::kDesired), limit);
    r.undesired_tokens = std::min(split.length(row, Side::kUndesired), limit);
    if (r.desired_tokens > 0) r.desired = text_of(*held_out.tokenizer, split.tokens(row, Side::kDesired));
    if (r.undesired_tokens > 0) r.undesired = text_of(*held_out.tokenizer, split.tokens(row, Side::kUndesired));
    rows.push_back(std::move(r));
  }
  const ReferenceLogProbs log_probs = score(model, batch);
  for (std::size_t i = 0; i < log_probs.desired.size(); ++i)
    rows[static_cast<std::size_t>(batch.desired.batch_row[i])].desired_log_prob = log_probs.desired[i];
  for (std::size_t i = 0; i < log_probs.undesired.size(); ++i)
    rows[static_cast<std::size_t>(batch.undesired.batch_row[i])].undesired_log_prob = log_probs.undesired[i];
  return rows;
}

void generate_free(const T5& model, const HeldOut& held_out, const Batch& batch, std::vector<EvaluationRow>& rows) {
  const auto outputs =
      generate_greedy(model, batch.source_BS, batch.source_mask_BS, held_out.config->evaluate.max_new_tokens);
  for (std::size_t b = 0; b < rows.size(); ++b) {
    rows[b].output = held_out.tokenizer->decode(outputs[b].tokens);
    rows[b].output_complete = outputs[b].complete;
  }
}

/// The same once more for the rows whose norm asks for alignments, with nothing but alignments to choose from.
Status generate_constrained(const T5& model, const HeldOut& held_out, const Batch& batch,
                            std::vector<EvaluationRow>& rows) {
  const auto& norms = held_out.dataset->info().norms;
  for (const Norm& norm : norms) {  // a constraint is of one norm's rules
    if (!norm.rules.alignment) continue;
    std::vector<OutputKey> outputs;
    std::vector<std::string> sources;
    for (std::size_t b = 0; b < rows.size(); ++b) {
      if (rows[b].norm != norm.name) continue;
      outputs.push_back({static_cast<std::int64_t>(b), static_cast<std::uint64_t>(rows[b].row), 0});
      sources.push_back(rows[b].source);
    }
    if (outputs.empty()) continue;
    PLUMBLINE_ASSIGN(const auto constraint, AlignmentConstraint::make(norm.rules, *held_out.tokenizer, sources));
    Decoding decoding;
    decoding.max_new_tokens = held_out.config->evaluate.max_new_tokens;
    const auto written = generate(model, batch.source_BS, batch.source_mask_BS, decoding, outputs, constraint.get());
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      EvaluationRow& row = rows[static_cast<std::size_t>(outputs[o].batch_row)];
      row.output_constrained = held_out.tokenizer->decode(written[o].tokens);
      row.output_constrained_complete = written[o].complete;
    }
  }
  return {};
}

/// What a row's computation adds to what the dataset says; the rest every rank can look up, but the texts are few.
Json to_json(const EvaluationRow& r) {
  const auto optional = [](const auto& value) { return value ? Json(*value) : Json(); };
  return Json{r.row,
              r.id,
              r.norm,
              r.source,
              optional(r.desired),
              optional(r.undesired),
              optional(r.output),
              r.output_complete,
              optional(r.desired_log_prob),
              optional(r.undesired_log_prob),
              r.desired_tokens,
              r.undesired_tokens,
              optional(r.output_constrained),
              r.output_constrained_complete};
}

EvaluationRow from_json(const Json& j) {
  EvaluationRow r;
  const auto text = [&](std::size_t i) {
    return j[i].is_null() ? std::nullopt : std::optional(j[i].get<std::string>());
  };
  const auto number = [&](std::size_t i) { return j[i].is_null() ? std::nullopt : std::optional(j[i].get<double>()); };
  r.row = j[0].get<std::int64_t>();
  r.id = j[1].get<std::string>();
  r.norm = j[2].get<std::string>();
  r.source = j[3].get<std::string>();
  r.desired = text(4);
  r.undesired = text(5);
  r.output = text(6);
  r.output_complete = j[7].get<bool>();
  r.desired_log_prob = number(8);
  r.undesired_log_prob = number(9);
  r.desired_tokens = j[10].get<std::int64_t>();
  r.undesired_tokens = j[11].get<std::int64_t>();
  r.output_constrained = text(12);
  r.output_constrained_complete = j[13].get<bool>();
  return r;
}

}  // namespace

std::vector<std::int64_t> scored_rows(const HeldOut& held_out) {
  return held_out_rows(held_out.dataset->held_out(), held_out.norms.size(), held_out.config->evaluate.examples,
                       held_out.config->seed);
}

Result<Json> held_out_metrics(const T5& model, const HeldOut& held_out, Collective& collective) {
  const at::NoGradGuard no_grad;
  const auto rows = scored_rows(held_out);
  const Split& split = held_out.dataset->held_out();
  const std::size_t num_norms = held_out.norms.size();
  const auto totals = totals_of(split, rows, num_norms, held_out.config->train.max_output_tokens);
  const auto batches = fixed_batches(split, rows, held_out.config->evaluate.batch_rows);
  const KlRows kl_rows(split, held_out.norms, held_out.references, held_out.config->train);
  PLUMBLINE_ASSIGN(const auto kl, kl_of_batches(model, kl_rows, batches, totals, collective));
  PLUMBLINE_ASSIGN(const auto parts, share_batches(collective, batches.size(), [&](std::size_t b) {
                     const Batch batch = batch_of(model, held_out, batches[b]);
                     const ReferenceLogProbs reference =
                         held_out.references != nullptr ? held_out.references->of(batch) : ReferenceLogProbs{};
                     const auto result =
                         compute_objective(model, batch, held_out.norms, totals,
                                           held_out.references != nullptr ? &reference : nullptr, {}, kl);
                     std::vector<double> slots(num_slots(num_norms), 0.0);
                     add_to_slots(result.sums, slots.data());
                     return Result<std::string>(
                         std::string(reinterpret_cast<const char*>(slots.data()), slots.size() * sizeof(double)));
                   }));
  std::vector<double> total(num_slots(num_norms), 0.0), part(total.size());
  for (const auto& bytes : parts) {  // In the order of batches, on every rank.
    if (bytes.size() != part.size() * sizeof(double)) return run_error("a worker's sums are cut short", "evaluation");
    std::memcpy(part.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += part[i];
  }
  std::vector<std::string> names;
  for (const Norm& norm : held_out.dataset->info().norms) names.push_back(norm.name);
  return Result<Json>(boost::system::in_place_value,
                      norm_metrics(names, held_out.norms, totals, from_slots(total.data(), num_norms)));
}

std::vector<std::int64_t> judged_rows(const HeldOut& held_out) {
  const EvaluateConfig& settings = held_out.config->evaluate;
  return held_out_rows(held_out.dataset->held_out(), held_out.norms.size(), settings.judged, held_out.config->seed,
                       settings.generations);
}

Result<Json> judged_metrics(const T5& model, const HeldOut& held_out, Collective& collective) {
  const at::NoGradGuard no_grad;
  const auto packed = model.packed();  // For all its batches.
  const Split& split = held_out.dataset->held_out();
  const auto& norms = held_out.dataset->info().norms;
  std::vector<std::unique_ptr<Judge>> judges;
  for (const Norm& norm : norms) {
    PLUMBLINE_ASSIGN(judges.emplace_back(), make_judge(norm, held_out.dataset->folder().string()));
  }
  const auto batches = fixed_batches(split, judged_rows(held_out), held_out.config->evaluate.batch_rows);
  // A batch's part: for each row its norm, 1 or 0 for undesirable, and the score where there is a desired output.
  PLUMBLINE_ASSIGN(const auto parts, share_batches(collective, batches.size(), [&](std::size_t b) {
                     const Batch batch = batch_of(model, held_out, batches[b]);
                     const auto outputs = generate_greedy(model, batch.source_BS, batch.source_mask_BS,
                                                          held_out.config->evaluate.max_new_tokens);
                     Json verdicts = Json::array();
                     for (std::size_t i = 0; i < outputs.size(); ++i) {
                       const std::int64_t row = batch.rows[i];
                       const std::size_t norm = split.norm(row);
                       const std::string source = text_of(*held_out.tokenizer, split.tokens(row, Side::kSource));
                       const std::string output = held_out.tokenizer->decode(outputs[i].tokens);
                       Json score;
                       if (split.length(row, Side::kDesired) > 0)
                         score = desired_score(norms[norm], source, output,
                                               text_of(*held_out.tokenizer, split.tokens(row, Side::kDesired)));
                       verdicts.push_back({norm, judges[norm]->judge(source, output).undesirable ? 1 : 0, score});
                     }
                     return Result<std::string>(verdicts.dump());
                   }));
  struct Sums {
    std::int64_t rows = 0, undesirable = 0, scored = 0;
    double score = 0;
  };
  std::vector<Sums> sums(norms.size());
  for (const auto& part : parts) {
    PLUMBLINE_ASSIGN(const Json verdicts, parse_json(part, "another worker's verdicts"));
    for (const Json& verdict : verdicts) {
      Sums& of_norm = sums.at(verdict.at(0).get<std::size_t>());
      ++of_norm.rows;
      of_norm.undesirable += verdict.at(1).get<int>();
      if (verdict.at(2).is_null()) continue;
      ++of_norm.scored;
      of_norm.score += verdict.at(2).get<double>();
    }
  }
  Json metrics = Json::object();
  for (std::size_t n = 0; n < norms.size(); ++n) {
    if (sums[n].rows == 0) continue;
    Json& numbers = metrics[norms[n].name];
    numbers["undesirable_rate"] = static_cast<double>(sums[n].undesirable) / static_cast<double>(sums[n].rows);
    if (sums[n].scored > 0) numbers["desired_score"] = sums[n].score / static_cast<double>(sums[n].scored);
  }
  return Result<Json>(boost::system::in_place_value, std::move(metrics));
}

Result<std::vector<EvaluationRow>> evaluate_rows(const T5& model, const HeldOut& held_out, Collective& collective) {
  const at::NoGradGuard no_grad;
  const auto packed = model.packed();  // For all its batches.
  const Split& split = held_out.dataset->held_out();
  const EvaluateConfig& settings = held_out.config->evaluate;
  const auto generated = held_out_rows(split, held_out.norms.size(), settings.generations, held_out.config->seed);
  const std::set<std::int64_t> is_generated(generated.begin(), generated.end());
  std::vector<std::int64_t> only_scored;
  for (const std::int64_t row : scored_rows(held_out))
    if (!is_generated.contains(row)) only_scored.push_back(row);
  auto batches = fixed_batches(split, generated, settings.batch_rows);
  const std::size_t num_generated = batches.size();
  for (auto& batch : fixed_batches(split, only_scored, settings.batch_rows)) batches.push_back(std::move(batch));
  PLUMBLINE_ASSIGN(const auto parts, share_batches(collective, batches.size(), [&](std::size_t b) {
                     const Batch batch = batch_of(model, held_out, batches[b]);
                     auto rows = scored(model, held_out, batch);
                     if (b < num_generated) {
                       generate_free(model, held_out, batch, rows);
                       const Status constrained = generate_constrained(model, held_out, batch, rows);
                       if (constrained.has_error()) return Result<std::string>(constrained.error());
                     }
                     Json json = Json::array();
                     for (const auto& row : rows) json.push_back(to_json(row));
                     return Result<std::string>(json.dump(-1, ' ', false, Json::error_handler_t::replace));
                   }));
  std::vector<EvaluationRow> rows;
  for (const auto& part : parts) {
    PLUMBLINE_ASSIGN(const Json json, parse_json(part, "another worker's evaluation"));
    for (const auto& row : json) rows.push_back(from_json(row));
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
  return rows;
}

}  // namespace plumbline
