#include "worker/reference.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "common/core/files.hpp"
#include "common/core/json.hpp"
#include "common/data/plan.hpp"
#include "common/record/reference_part.hpp"
#include "worker/reference_folders.hpp"
#include "worker/share.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr std::int64_t kReferenceVersion = 4;  // Raised when the same rows would get other numbers.
constexpr std::chrono::milliseconds kLongestPart{60'000};

/// Rows that are computed together.
struct Group {
  const Split* split;
  const std::vector<std::int64_t>* partners;  ///< mismatched: by row of the split; else null
  RowLogProbs* into;
  std::vector<std::int64_t> rows;
  GroupKey key;
  bool is_known = false;
};

class Preparation {
 public:
  Preparation(const T5& start, const ReferenceWork& work, Collective& collective)
      : start_(start),
        work_(work),
        collective_(collective),
        folders_(work.folders, reference_model(start, work), collective, work.tell) {}

  Result<References> prepare();

 private:
  void add_groups(const Split& split, const std::vector<std::int64_t>& used, std::vector<std::int64_t>& partners,
                  RowLogProbs& into);
  [[nodiscard]] RowTokens tokens_of(const Group& group, std::int64_t row) const;
  /// Of the desired and the undesired output, 0 where there is none.
  [[nodiscard]] std::array<std::int64_t, 2> output_lengths(const Group& group, std::int64_t row) const;

  void read(const std::vector<std::string>& parts);
  void take(const ScoredGroup& scored);
  /// Of some rank.
  Result<std::vector<std::size_t>> missing();

  /// This rank's share, into parts of its own, whose names are added to `written`.
  Status compute(const std::vector<std::size_t>& missing, const std::string& folder, std::vector<std::string>& written);
  [[nodiscard]] std::vector<ScoredOutput> score_group(const Group& group) const;

  const T5& start_;
  const ReferenceWork& work_;
  Collective& collective_;
  ReferenceFolders folders_;
  std::vector<std::int64_t> train_partners_, held_out_partners_;  ///< kto
  std::vector<Group> groups_;
  std::vector<std::pair<GroupKey, std::size_t>> by_key_;  ///< ascending; equal groups follow each other
  References references_;
};

Result<References> Preparation::prepare() {
  add_groups(work_.dataset->train(), work_.train_rows, train_partners_, references_.train);
  add_groups(work_.dataset->held_out(), work_.held_out_rows, held_out_partners_, references_.held_out);
  std::sort(by_key_.begin(), by_key_.end());
  PLUMBLINE_ASSIGN(const auto kept, folders_.kept());
  read(kept);
  PLUMBLINE_ASSIGN(const auto needed, missing());
  folders_.tell("reference log-probs: " + std::to_string(groups_.size() - needed.size()) + " of " +
                std::to_string(groups_.size()) + " groups of examples are read from cache");
  if (needed.empty()) return std::move(references_);
  PLUMBLINE_ASSIGN(const std::string folder, folders_.choose());
  std::vector<std::string> written;
  PLUMBLINE_TRY(agree(collective_, compute(needed, folder, written)));
  PLUMBLINE_ASSIGN(const auto parts, folders_.gather(written));
  read(parts);
  PLUMBLINE_ASSIGN(const auto left, missing());
  if (!left.empty())
    return run_error("reference log-probs that were just written cannot be read", folders_.path_of(folder).string(),
                     "Resume the run; what is missing is computed again.");
  return std::move(references_);
}

/// The groups that hold a used row, of the norms that compare with the start model. Their order is the same on every
/// rank, from short rows to long ones within a norm, so that every w-th costs about the same.
void Preparation::add_groups(const Split& split, const std::vector<std::int64_t>& used,
                             std::vector<std::int64_t>& partners, RowLogProbs& into) {
  const auto is_compared = [&](std::int64_t row) {
    const Objective objective = work_.objectives.at(split.norm(row));
    return needs_reference(objective) && (objective == Objective::kKto || split.kind(row) == ExampleKind::kPreference);
  };
  std::vector<std::int64_t> wanted;
  std::copy_if(used.begin(), used.end(), std::back_inserter(wanted), is_compared);
  into = RowLogProbs(std::move(wanted));
  std::vector<std::vector<std::int64_t>> pairs(work_.objectives.size()), others(work_.objectives.size());
  for (std::int64_t row = 0; row < split.size(); ++row)
    if (is_compared(row))
      (split.kind(row) == ExampleKind::kPreference ? pairs : others)[split.norm(row)].push_back(row);
  const auto add = [&](const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>* mismatched_with) {
    for (auto& batch : fixed_batches(split, rows, work_.rows_together)) {
      if (std::none_of(batch.begin(), batch.end(), [&](std::int64_t row) { return into.holds(row); })) continue;
      Group group{&split, mismatched_with, &into, std::move(batch), {}};
      std::vector<RowTokens> content;
      for (const std::int64_t row : group.rows) content.push_back(tokens_of(group, row));
      group.key = group_key(content);
      by_key_.emplace_back(group.key, groups_.size());
      groups_.push_back(std::move(group));
    }
  };
  for (std::size_t n = 0; n < work_.objectives.size(); ++n) {
    add(pairs[n], nullptr);
    if (work_.objectives[n] != Objective::kKto) continue;
    if (partners.empty()) partners = partners_of(split, work_.objectives.size());
    add(others[n], nullptr);
    pairs[n].insert(pairs[n].end(), others[n].begin(), others[n].end());
    add(pairs[n], &partners);
  }
}

/// What make_batch, or make_mismatched_batch, gives the model of a row.
RowTokens Preparation::tokens_of(const Group& group, std::int64_t row) const {
  RowTokens tokens;
  tokens.source = group.split->tokens(row, Side::kSource);
  cut_source(tokens.source, work_.max_source_tokens);
  const std::int64_t of = group.partners == nullptr ? row : group.partners->at(static_cast<std::size_t>(row));
  tokens.desired = group.split->tokens(of, Side::kDesired);
  tokens.undesired = group.split->tokens(of, Side::kUndesired);
  if (group.partners != nullptr && tokens.desired.empty()) tokens.desired = std::move(tokens.undesired);
  if (group.partners != nullptr) tokens.undesired.clear();
  for (auto* output : {&tokens.desired, &tokens.undesired})
    if (std::ssize(*output) > work_.max_output_tokens)
      output->resize(static_cast<std::size_t>(work_.max_output_tokens));
  return tokens;
}

std::array<std::int64_t, 2> Preparation::output_lengths(const Group& group, std::int64_t row) const {
  const RowTokens tokens = tokens_of(group, row);
  return {std::ssize(tokens.desired), std::ssize(tokens.undesired)};
}

/// One part in memory at a time.
void Preparation::read(const std::vector<std::string>& parts) {
  for (const std::string& name : parts) {
    const fs::path file = folders_.path_of(name);
    const auto part = read_reference_part(file, folders_.key());
    if (part.has_value()) {
      for (const ScoredGroup& scored : part->groups) take(scored);
      continue;
    }
    // A cache's file that vouches for nothing is of no use; one that may not be read is somebody else's.
    std::error_code ec;
    const bool removed = collective_.rank() == 0 && ::access(file.c_str(), R_OK) == 0 && fs::remove(file, ec);
    folders_.tell("reference log-probs that cannot be used" + std::string(removed ? " are removed: " : ": ") +
                  to_string(part.error()));
  }
}

void Preparation::take(const ScoredGroup& scored) {
  auto it = std::lower_bound(by_key_.begin(), by_key_.end(), std::pair(scored.key, std::size_t{0}));
  for (; it != by_key_.end() && it->first == scored.key; ++it) {
    Group& group = groups_[it->second];
    std::vector<std::int64_t> expected, lengths;
    for (const std::int64_t row : group.rows)
      for (const std::int64_t length : output_lengths(group, row))
        if (length > 0) expected.push_back(length);
    for (const ScoredOutput& output : scored.outputs) lengths.push_back(output.tokens);
    if (lengths != expected) continue;
    group.is_known = true;
    auto output = scored.outputs.begin();
    for (const std::int64_t row : group.rows) {
      const auto [desired, undesired] = output_lengths(group, row);
      RowLogProbs::Values values = group.into->at(row);
      if (group.partners != nullptr) {
        values.mismatched = (output++)->log_prob;
      } else {
        if (desired > 0) {
          values.desired = output->log_prob;
          values.desired_differing = (output++)->differing_log_prob;
        }
        if (undesired > 0) {
          values.undesired = output->log_prob;
          values.undesired_differing = (output++)->differing_log_prob;
        }
      }
      group.into->set(row, values);
    }
  }
}

Result<std::vector<std::size_t>> Preparation::missing() {
  std::string is_missing(groups_.size() / 8 + 1, '\0');  // One bit a group.
  for (std::size_t g = 0; g < groups_.size(); ++g)
    if (!groups_[g].is_known) is_missing[g / 8] = static_cast<char>(is_missing[g / 8] | 1 << g % 8);
  PLUMBLINE_ASSIGN(const auto of_ranks, collective_.all_gather_bytes(is_missing));
  std::vector<std::size_t> missing;
  for (std::size_t g = 0; g < groups_.size(); ++g)
    if (std::any_of(of_ranks.begin(), of_ranks.end(),
                    [&](const std::string& bits) { return (bits.at(g / 8) >> g % 8 & 1) != 0; }))
      missing.push_back(g);
  return missing;
}

Status Preparation::compute(const std::vector<std::size_t>& missing, const std::string& folder,
                            std::vector<std::string>& written) {
  folders_.tell("computing the start model's log-probs of " + std::to_string(missing.size()) + " groups into " +
                folders_.path_of(folder).string());
  const auto rank = static_cast<std::size_t>(collective_.rank()), world = static_cast<std::size_t>(collective_.size());
  ReferencePart part{folders_.key(), {}};
  auto due = work_.first_part;
  auto began = Steady::now();
  for (std::size_t i = rank; i < missing.size(); i += world) {
    const Group& group = groups_[missing[i]];
    part.groups.push_back({group.key, score_group(group)});
    if (i + world < missing.size() && Steady::now() - began < due) continue;
    written.push_back(folder + reference_part_name(part));
    PLUMBLINE_TRY(write_reference_part(folders_.path_of(written.back()), part));
    part.groups.clear();
    folders_.tell("log-probs of the first " + std::to_string(i + 1) + " of " + std::to_string(missing.size()) +
                  " groups are kept");
    began = Steady::now();
    due = std::min(2 * due, kLongestPart);
  }
  return {};
}

std::vector<ScoredOutput> Preparation::score_group(const Group& group) const {
  const at::Device device = start_.parameters().flat().device();
  const Batch batch =
      group.partners == nullptr
          ? make_batch(*group.split, group.rows, work_.max_source_tokens, work_.max_output_tokens, device)
          : make_mismatched_batch(*group.split, group.rows, *group.partners, work_.max_source_tokens,
                                  work_.max_output_tokens, device);
  const ReferenceLogProbs scores = score(start_, batch);
  std::vector<ScoredOutput> outputs;
  std::size_t d = 0, u = 0;
  for (std::int64_t b = 0; b < std::ssize(group.rows); ++b) {
    const auto add = [&](const OutputTensors& side, std::size_t& i, const std::vector<float>& all,
                         const std::vector<float>& differing) {
      if (i == side.batch_row.size() || side.batch_row[i] != b) return;
      outputs.push_back({all[i], differing[i], static_cast<std::int32_t>(side.length[i]),
                         static_cast<std::int32_t>(side.differing[i].size())});
      ++i;
    };
    add(batch.desired, d, scores.desired, scores.desired_differing);
    add(batch.undesired, u, scores.undesired, scores.undesired_differing);
  }
  return outputs;
}

}  // namespace

std::string reference_model(const T5& start, const ReferenceWork& work) {
  const at::ScalarType type = start.parameters().flat().scalar_type();
  Json architecture = to_hf_config(start.config());
  architecture.erase("dropout_rate");  // There is none here.
  const DatasetInfo& info = work.dataset->info();
  Json tokenizer{{"name", info.tokenizer}, {"vocab_size", info.vocab_size}};
  if (info.sentencepiece)
    tokenizer.update({{"extra_ids", info.sentencepiece->extra_ids}, {"sha256", info.sentencepiece->sha256}});
  const Json model{{"version", kReferenceVersion},
                   {"architecture", std::move(architecture)},
                   {"parameters_sha256", start.parameters().sha256()},
                   {"dtype", type == at::kFloat ? "float32" : at::toString(type)},
                   {"tokenizer", std::move(tokenizer)},
                   {"fingerprint", work.fingerprint}};
  return model.dump(2) + "\n";
}

Result<References> prepare_references(const T5& start, const ReferenceWork& work, Collective& collective) {
  return Preparation(start, work, collective).prepare();
}

}  // namespace plumbline
