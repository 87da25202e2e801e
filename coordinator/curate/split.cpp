#include "coordinator/curate/split.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "coordinator/curate/near_duplicates.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace plumbline {

namespace {

/// What goes to one part as a whole: a cluster, or its examples of one norm.
struct Unit {
  std::vector<std::size_t> examples;
  std::map<std::uint16_t, std::int64_t> by_norm;  ///< number of examples
  Part part = Part::kTrain;
  bool only_trains = false;  ///< holds an example that must not be held out

  void add(std::size_t example, std::uint16_t norm) {
    examples.push_back(example);
    ++by_norm[norm];
  }
};

struct Cluster {
  std::uint64_t order = 0;  ///< hash of its smallest id: the place in the deal
  ExampleId smallest;
  Unit unit;
};

/// The clusters, in the order of the deal.
std::vector<Unit> make_clusters(const std::vector<PooledExample>& examples, const Recipe& recipe) {
  const std::vector<std::uint32_t> numbers = cluster_examples(examples, recipe);
  std::vector<Cluster> clusters;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (numbers[i] == clusters.size()) clusters.emplace_back();
    Cluster& cluster = clusters[numbers[i]];
    const ExampleId id = examples[i].example.id;
    if (cluster.unit.examples.empty() || id < cluster.smallest) cluster.smallest = id;
    cluster.unit.add(i, examples[i].norm);
  }
  for (Cluster& cluster : clusters) {
    const std::array<std::uint64_t, 2> key{cluster.smallest.high, cluster.smallest.low};
    cluster.order = XXH3_64bits_withSeed(key.data(), sizeof key, recipe.seed);
  }
  std::sort(clusters.begin(), clusters.end(), [](const Cluster& x, const Cluster& y) {
    return std::pair(x.order, x.smallest) < std::pair(y.order, y.smallest);
  });
  std::vector<Unit> units;
  units.reserve(clusters.size());
  for (Cluster& cluster : clusters) units.push_back(std::move(cluster.unit));
  return units;
}

/// Takes units out of training, part by part.
class Dealer {
 public:
  Dealer(std::vector<Unit>& units, std::size_t num_norms) : units_(units), left_(num_norms, 0) {
    for (const Unit& unit : units)
      for (const auto& [norm, count] : unit.by_norm) ++left_[norm];
  }

  /// Deals to `part` until each norm has its share; `targets` are examples by norm.
  void deal(Part part, std::vector<std::int64_t> targets) {
    open_ = std::move(targets);
    got_some_.assign(open_.size(), false);
    for (Unit& unit : units_)
      if (is_free(unit) && fits(unit)) take(unit, part);
    // Where every unit is larger than the share, the smallest is better than none.
    for (std::size_t norm = 0; norm < open_.size(); ++norm)
      if (open_[norm] > 0 && !got_some_[norm]) take_smallest(static_cast<std::uint16_t>(norm), part);
  }

 private:
  /// Still in training, where each of its norms keeps another unit.
  [[nodiscard]] bool is_free(const Unit& unit) const {
    return unit.part == Part::kTrain && !unit.only_trains &&
           std::all_of(unit.by_norm.begin(), unit.by_norm.end(),
                       [&](const auto& entry) { return left_[entry.first] > 1; });
  }
  [[nodiscard]] bool fits(const Unit& unit) const {
    return std::all_of(unit.by_norm.begin(), unit.by_norm.end(),
                       [&](const auto& entry) { return entry.second <= open_[entry.first]; });
  }
  void take(Unit& unit, Part part) {
    unit.part = part;
    for (const auto& [norm, count] : unit.by_norm) open_[norm] -= count, got_some_[norm] = true, --left_[norm];
  }
  void take_smallest(std::uint16_t norm, Part part) {
    Unit* smallest = nullptr;
    for (Unit& unit : units_) {
      if (!unit.by_norm.contains(norm) || !is_free(unit)) continue;
      if (smallest == nullptr || unit.examples.size() < smallest->examples.size()) smallest = &unit;
    }
    if (smallest != nullptr) take(*smallest, part);
  }

  std::vector<Unit>& units_;
  std::vector<std::int64_t> left_;  ///< by norm: units in training
  std::vector<std::int64_t> open_;  ///< by norm: examples that the part still wants
  std::vector<bool> got_some_;      ///< by norm: the part has a unit
};

/// Examples that make up `share` of `total`: at least one.
std::int64_t target_of(double share, std::int64_t total) {
  return std::max<std::int64_t>(std::llround(share * static_cast<double>(total)), 1);
}

/// What is left in training of norm `norm`, cluster by cluster.
std::vector<Unit> training_units(const std::vector<Unit>& clusters, const std::vector<PooledExample>& examples,
                                 std::uint16_t norm) {
  std::vector<Unit> units;
  for (const Unit& cluster : clusters) {
    if (cluster.part != Part::kTrain || !cluster.by_norm.contains(norm)) continue;
    units.emplace_back();
    for (const std::size_t i : cluster.examples)
      if (examples[i].norm == norm) units.back().add(i, norm);
  }
  return units;
}

SourcePart part_of(const PooledExample& example, const Recipe& recipe) {
  return example.place.source < recipe.sources.size() ? recipe.sources[example.place.source].part : SourcePart::kAny;
}

/// What sources say of their own part.
void set_parts(std::vector<Unit>& clusters, const std::vector<PooledExample>& examples, const Recipe& recipe) {
  for (Unit& cluster : clusters)
    for (const std::size_t i : cluster.examples) {
      const SourcePart part = part_of(examples[i], recipe);
      if (part == SourcePart::kHeldOut) cluster.part = Part::kHeldOut;
      cluster.only_trains |= part == SourcePart::kTrain;
    }
}

void assign(const std::vector<Unit>& units, Splits& splits) {
  for (const Unit& unit : units)
    for (const std::size_t i : unit.examples) splits.parts[i] = unit.part;
}

}  // namespace

std::vector<std::uint32_t> cluster_examples(const std::vector<PooledExample>& examples, const Recipe& recipe) {
  DisjointSets sets(examples.size());
  std::vector<std::string_view> sources;
  sources.reserve(examples.size());
  std::unordered_map<std::string, std::size_t> first_of_group;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    sources.push_back(examples[i].example.source);
    if (examples[i].group.empty()) continue;
    // Groups are a source's own: two files may number theirs alike.
    const std::string group = std::to_string(examples[i].place.source) + ":" + examples[i].group;
    const auto [place, is_new] = first_of_group.emplace(group, i);
    if (!is_new) sets.join(place->second, i);
  }
  join_near_duplicates(sources, {.threshold = recipe.near_duplicate, .shingle = recipe.shingle_characters}, sets);
  std::vector<std::uint32_t> numbers(examples.size());
  std::unordered_map<std::size_t, std::uint32_t> number_of;
  for (std::size_t i = 0; i < examples.size(); ++i)
    numbers[i] = number_of.emplace(sets.find(i), static_cast<std::uint32_t>(number_of.size())).first->second;
  return numbers;
}

void remove_near_held_out(Pool& pool, const Recipe& recipe) {
  const auto wants = [&](SourcePart part) {
    return std::any_of(recipe.sources.begin(), recipe.sources.end(), [&](const auto& s) { return s.part == part; });
  };
  if (!wants(SourcePart::kHeldOut) || !wants(SourcePart::kTrain)) return;
  const std::vector<std::uint32_t> numbers = cluster_examples(pool.examples, recipe);
  std::vector<bool> is_held_out(numbers.size(), false);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (part_of(pool.examples[i], recipe) == SourcePart::kHeldOut) is_held_out[numbers[i]] = true;
  std::size_t i = 0;
  std::erase_if(pool.examples, [&](const PooledExample& example) {
    const bool removed = is_held_out[numbers[i++]] && part_of(example, recipe) == SourcePart::kTrain;
    if (removed) pool.left_out.add(Reason::kNearHeldOut, example.place);
    return removed;
  });
}

Splits split_examples(const std::vector<PooledExample>& examples, const Recipe& recipe) {
  const std::size_t num_norms = recipe.norms.size();
  std::vector<std::int64_t> totals(num_norms, 0), targets;
  for (const PooledExample& pooled : examples) ++totals[pooled.norm];
  for (const std::int64_t total : totals) targets.push_back(target_of(recipe.held_out, total));

  for (const SourceRecipe& source : recipe.sources)
    if (source.part == SourcePart::kHeldOut) targets[source.norm] = 0;

  std::vector<Unit> clusters = make_clusters(examples, recipe);
  set_parts(clusters, examples, recipe);
  Dealer(clusters, num_norms).deal(Part::kHeldOut, targets);

  Splits splits;
  splits.parts.resize(examples.size());
  splits.clusters = static_cast<std::int64_t>(clusters.size());
  for (const Unit& cluster : clusters)
    splits.largest_cluster = std::max(splits.largest_cluster, static_cast<std::int64_t>(cluster.examples.size()));
  assign(clusters, splits);

  for (std::uint16_t norm = 0; norm < num_norms; ++norm) {
    const NormRecipe& with = recipe.norms[norm];
    if (with.norm.judge != JudgeKind::kClassifier || !with.judge_from.empty()) continue;
    std::vector<Unit> units = training_units(clusters, examples, norm);
    Dealer dealer(units, num_norms);
    std::vector<std::int64_t> wanted(num_norms, 0);
    wanted[norm] = target_of(with.judge_train, totals[norm]);
    dealer.deal(Part::kJudgeTrain, wanted);
    wanted[norm] = target_of(with.judge_held_out, totals[norm]);
    dealer.deal(Part::kJudgeHeldOut, wanted);
    assign(units, splits);
  }
  return splits;
}

}  // namespace plumbline
