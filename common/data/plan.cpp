#include "common/data/plan.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "common/core/check.hpp"
#include "common/data/used_sides.hpp"

namespace plumbline {

namespace {

/// SplitMix64's finaliser (Steele, Lea & Flood 2014).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// A row of the step and what it costs, after cutting.
struct Row {
  std::int64_t row = 0;
  std::int64_t source = 0, desired = 0, undesired = 0;  ///< tokens; 0 for an output that is not computed
  [[nodiscard]] std::int64_t tokens() const { return source + desired + undesired; }
};

/// Padded tokens of a micro-batch: sources to the longest source, outputs of both sides to the longest output.
struct Padded {
  std::int64_t rows = 0, outputs = 0, longest_source = 0, longest_output = 0;
  [[nodiscard]] Padded with(const Row& row) const {
    return {rows + 1, outputs + (row.desired > 0 ? 1 : 0) + (row.undesired > 0 ? 1 : 0),
            std::max(longest_source, row.source), std::max({longest_output, row.desired, row.undesired})};
  }
  [[nodiscard]] std::int64_t tokens() const { return rows * longest_source + outputs * longest_output; }
};

/// Cuts the rows, which come longest first, into one run a lane: rows of like length, so that little of a batch is
/// padding. A run ends where its tokens and all before come nearest to the lanes' share, so neighbouring lanes
/// together, which is what a rank holds, carry their share to within one row. No lane stays empty.
std::vector<std::vector<Row>> cut(const std::vector<Row>& sorted, int num_lanes) {
  const auto cost = [](const Row& row) { return std::max<std::int64_t>(1, row.tokens()); };
  std::int64_t total = 0, so_far = 0;
  for (const Row& row : sorted) total += cost(row);
  std::vector<std::vector<Row>> lanes(static_cast<std::size_t>(num_lanes));
  std::size_t next = 0;
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    const auto share = total * static_cast<std::int64_t>(lane + 1) / num_lanes;
    const std::size_t last = sorted.size() - (lanes.size() - lane);  // The rows after it are needed for other lanes.
    do {
      so_far += cost(sorted[next]);
      lanes[lane].push_back(sorted[next++]);
    } while (next <= last && 2 * (share - so_far) >= cost(sorted[next]));
  }
  return lanes;
}

/// Rows of a lane come in descending length, so neighbours are alike.
Lane pack(const std::vector<Row>& rows, std::int64_t budget) {
  Lane lane;
  Padded padded;
  for (const Row& row : rows) {
    if (lane.micro_batches.empty() || padded.with(row).tokens() > budget) {
      lane.micro_batches.emplace_back();
      padded = {};
    }
    lane.micro_batches.back().rows.push_back(row.row);
    padded = padded.with(row);
  }
  return lane;
}

}  // namespace

KeyedPermutation::KeyedPermutation(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size)
    : size_(size), half_bits_(0) {
  PLUMBLINE_CHECK(size > 0 && size <= (1ull << 62), "a permutation needs between 1 and 2^62 places");
  while ((1ull << (2 * half_bits_)) < size) ++half_bits_;
  mask_ = (1ull << half_bits_) - 1;
  const std::uint64_t key = mix(mix(seed) ^ epoch);
  for (std::size_t i = 0; i < std::size(keys_); ++i) keys_[i] = mix(key + i);
}

std::uint64_t KeyedPermutation::operator()(std::uint64_t position) const {
  PLUMBLINE_CHECK(position < size_, "a position lies outside the permutation");
  do {  // Walk the cycle until it returns to [0, size): at most four rounds on average.
    std::uint64_t left = position >> half_bits_, right = position & mask_;
    for (const std::uint64_t key : keys_) {
      const std::uint64_t next = left ^ (mix(right ^ key) & mask_);
      left = right;
      right = next;
    }
    position = left << half_bits_ | right;
  } while (position >= size_);
  return position;
}

Result<Plan> Plan::make(const TrainConfig& train, std::uint64_t seed, const Split& split,
                        std::vector<Objective> objectives) {
  if (split.size() == 0)
    return data_error("the dataset has no training example", "split train",
                      "Curate it again from sources that hold examples.");
  if (train.lanes < 1 || train.global_batch < 1 || train.lanes > train.global_batch)
    return usage_error("lanes (" + std::to_string(train.lanes) + ") must be between 1 and global_batch (" +
                           std::to_string(train.global_batch) + ")",
                       "train.lanes", "Lower train.lanes or raise train.global_batch.");
  for (std::int64_t row = 0; row < split.size(); ++row)
    if (split.norm(row) >= objectives.size())
      return data_error("example " + std::to_string(row) + " names norm " + std::to_string(split.norm(row)) + " of " +
                            std::to_string(objectives.size()),
                        "split train", "The shards and dataset.json do not belong together; curate again.");
  Plan plan;
  plan.train_ = train;
  plan.seed_ = seed;
  plan.split_ = &split;
  plan.objectives_ = std::move(objectives);
  return plan;
}

std::vector<NormTotals> totals_of(const Split& split, const std::vector<std::int64_t>& rows, std::size_t num_norms,
                                  int max_output_tokens) {
  std::vector<NormTotals> totals(num_norms);
  for (const std::int64_t row : rows) {
    NormTotals& t = totals.at(split.norm(row));
    const ExampleKind kind = split.kind(row);
    ++t.examples;
    t.demonstrations += kind == ExampleKind::kDemonstration ? 1 : 0;
    t.preferences += kind == ExampleKind::kPreference ? 1 : 0;
    t.prohibitions += kind == ExampleKind::kProhibition ? 1 : 0;
    t.desired_tokens += std::min(split.length(row, Side::kDesired), max_output_tokens);
    t.undesired_tokens += std::min(split.length(row, Side::kUndesired), max_output_tokens);
  }
  return totals;
}

std::vector<std::int64_t> partners_of(const Split& split, std::size_t num_norms) {
  std::vector<std::vector<std::int64_t>> rows_of(num_norms);
  for (std::int64_t row = 0; row < split.size(); ++row) rows_of.at(split.norm(row)).push_back(row);
  std::vector<std::int64_t> partners(static_cast<std::size_t>(split.size()));
  for (const auto& rows : rows_of) {
    // Far apart: neighbours in a file are often alike.
    const std::size_t shift = rows.size() < 2 ? 0 : 1 + static_cast<std::size_t>(mix(rows.size()) % (rows.size() - 1));
    for (std::size_t i = 0; i < rows.size(); ++i)
      partners[static_cast<std::size_t>(rows[i])] = rows[(i + shift) % rows.size()];
  }
  return partners;
}

std::int64_t Plan::computed_tokens(std::int64_t row, Side side) const {
  if (!is_used(objectives_[split_->norm(row)], split_->kind(row), side)) return 0;
  return std::min<std::int64_t>(split_->length(row, side), train_.max_output_tokens);
}

GlobalBatch Plan::at(Step step) const {
  const auto batch_size = static_cast<std::uint64_t>(train_.global_batch);
  const auto n = static_cast<std::uint64_t>(split_->size());
  const std::uint64_t first = static_cast<std::uint64_t>(step.value()) * batch_size;
  GlobalBatch batch;
  batch.step = step;
  batch.epoch = static_cast<std::int64_t>(first / n);
  std::vector<Row> rows;
  std::vector<std::int64_t> numbers;
  rows.reserve(batch_size);
  std::uint64_t epoch = first / n;
  KeyedPermutation order(seed_, epoch, n);
  for (std::uint64_t p = first; p < first + batch_size; ++p) {
    if (p / n != epoch) order = KeyedPermutation(seed_, epoch = p / n, n);
    Row row;
    row.row = static_cast<std::int64_t>(order(p % n));
    row.source = std::min<std::int64_t>(split_->length(row.row, Side::kSource), train_.max_source_tokens);
    row.desired = computed_tokens(row.row, Side::kDesired);
    row.undesired = computed_tokens(row.row, Side::kUndesired);
    batch.source_tokens += row.source;
    batch.output_tokens += row.desired + row.undesired;
    rows.push_back(row);
    numbers.push_back(row.row);
  }
  batch.totals = totals_of(*split_, numbers, objectives_.size(), train_.max_output_tokens);
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.tokens() > b.tokens(); });
  for (const auto& lane : cut(rows, train_.lanes)) batch.lanes.push_back(pack(lane, train_.micro_batch_tokens));
  return batch;
}

std::vector<std::int64_t> Plan::rows_through(std::int64_t steps) const {
  const std::int64_t n = split_->size();
  std::vector<std::int64_t> rows(static_cast<std::size_t>(
      steps >= (n + train_.global_batch - 1) / train_.global_batch ? n : steps * train_.global_batch));
  if (static_cast<std::int64_t>(rows.size()) == n) {
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }
  const KeyedPermutation order(seed_, 0, static_cast<std::uint64_t>(n));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(order(i));
  std::sort(rows.begin(), rows.end());
  return rows;
}

LaneRange lanes_of(int rank, int world, int lanes) {
  PLUMBLINE_CHECK(world > 0 && rank >= 0 && rank < world && lanes >= 0, "no such rank");
  const auto start = [&](std::int64_t r) { return static_cast<int>(r * lanes / world); };
  return {start(rank), start(rank + 1)};
}

std::vector<std::vector<std::int64_t>> fixed_batches(const Split& split, const std::vector<std::int64_t>& rows,
                                                     int batch_rows) {
  PLUMBLINE_CHECK(batch_rows > 0, "a batch needs at least one row");
  std::vector<std::pair<std::int64_t, std::int64_t>> keyed;
  keyed.reserve(rows.size());
  for (const std::int64_t row : rows)
    keyed.emplace_back(static_cast<std::int64_t>(split.length(row, Side::kSource)) + split.length(row, Side::kDesired) +
                           split.length(row, Side::kUndesired),
                       row);
  std::sort(keyed.begin(), keyed.end());
  std::vector<std::vector<std::int64_t>> batches;
  for (std::size_t i = 0; i < keyed.size(); ++i) {
    if (i % static_cast<std::size_t>(batch_rows) == 0) batches.emplace_back();
    batches.back().push_back(keyed[i].second);
  }
  return batches;
}

std::vector<std::int64_t> held_out_rows(const Split& split, std::size_t num_norms, int per_norm, std::uint64_t seed,
                                        int skip) {
  std::vector<std::int64_t> rows;
  if (split.size() == 0 || per_norm <= 0) return rows;
  struct Keyed {
    std::uint64_t key;
    ExampleId id;
    std::int64_t row;
    auto operator<=>(const Keyed&) const = default;
  };
  std::vector<Keyed> order;
  order.reserve(static_cast<std::size_t>(split.size()));
  for (std::int64_t row = 0; row < split.size(); ++row) {
    const ExampleId id = split.id(row);
    order.push_back({mix(mix(mix(seed) ^ id.high) ^ id.low), id, row});
  }
  std::sort(order.begin(), order.end());
  std::vector<int> taken(num_norms, 0);
  std::size_t open = num_norms;
  for (const auto& [key, id, row] : order) {
    if (open == 0) break;
    const std::size_t norm = split.norm(row);
    if (norm >= num_norms || taken[norm] >= skip + per_norm) continue;
    if (++taken[norm] > skip) rows.push_back(row);
    if (taken[norm] == skip + per_norm) --open;
  }
  return rows;
}

std::vector<std::int64_t> probe_rows(const Split& split, std::size_t num_norms, int examples, std::uint64_t seed) {
  if (num_norms == 0 || examples <= 0) return {};
  const auto norms = static_cast<int>(num_norms);
  auto rows = held_out_rows(split, num_norms, (examples + norms - 1) / norms, seed);
  if (rows.size() > static_cast<std::size_t>(examples)) rows.resize(static_cast<std::size_t>(examples));
  return rows;
}

}  // namespace plumbline
