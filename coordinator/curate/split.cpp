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

struct Cluster {
  std::uint64_t order = 0;  ///< hash of its smallest id: the place in the deal
  ExampleId smallest;
  std::vector<std::size_t> examples;
  std::map<std::uint16_t, std::int64_t> by_norm;  ///< examples
  Part part = Part::kTrain;
};

std::vector<Cluster> make_clusters(const std::vector<PooledExample>& examples, const Recipe& recipe) {
  const std::vector<std::uint32_t> numbers = cluster_examples(examples, recipe);
  std::vector<Cluster> clusters;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (numbers[i] == clusters.size()) clusters.emplace_back();
    Cluster& cluster = clusters[numbers[i]];
    const ExampleId id = examples[i].example.id;
    if (cluster.examples.empty() || id < cluster.smallest) cluster.smallest = id;
    cluster.examples.push_back(i);
    ++cluster.by_norm[examples[i].norm];
  }
  for (Cluster& cluster : clusters) {
    const std::array<std::uint64_t, 2> key{cluster.smallest.high, cluster.smallest.low};
    cluster.order = XXH3_64bits_withSeed(key.data(), sizeof key, recipe.seed);
  }
  std::sort(clusters.begin(), clusters.end(), [](const Cluster& a, const Cluster& b) {
    return std::pair(a.order, a.smallest) < std::pair(b.order, b.smallest);
  });
  return clusters;
}

/// Takes clusters out of training, part by part.
class Dealer {
 public:
  Dealer(std::vector<Cluster>& clusters, std::size_t num_norms) : clusters_(clusters), left_(num_norms, 0) {
    for (const Cluster& cluster : clusters)
      for (const auto& [norm, count] : cluster.by_norm) ++left_[norm];
  }

  /// Deals to `part` until each norm has its share; `targets` are examples by norm.
  void deal(Part part, std::vector<std::int64_t> targets) {
    open_ = std::move(targets);
    got_some_.assign(open_.size(), false);
    for (Cluster& cluster : clusters_)
      if (is_free(cluster) && fits(cluster)) take(cluster, part);
    // Where every cluster is larger than the share, the smallest is better than none.
    for (std::uint16_t norm = 0; norm < open_.size(); ++norm)
      if (open_[norm] > 0 && !got_some_[norm]) take_smallest(norm, part);
  }

 private:
  /// Still in training, where each of its norms keeps another cluster.
  [[nodiscard]] bool is_free(const Cluster& cluster) const {
    return cluster.part == Part::kTrain && std::all_of(cluster.by_norm.begin(), cluster.by_norm.end(),
                                                       [&](const auto& entry) { return left_[entry.first] > 1; });
  }
  [[nodiscard]] bool fits(const Cluster& cluster) const {
    return std::all_of(cluster.by_norm.begin(), cluster.by_norm.end(),
                       [&](const auto& entry) { return entry.second <= open_[entry.first]; });
  }
  void take(Cluster& cluster, Part part) {
    cluster.part = part;
    for (const auto& [norm, count] : cluster.by_norm) open_[norm] -= count, got_some_[norm] = true, --left_[norm];
  }
  void take_smallest(std::uint16_t norm, Part part) {
    Cluster* smallest = nullptr;
    for (Cluster& cluster : clusters_) {
      if (!cluster.by_norm.contains(norm) || !is_free(cluster)) continue;
      if (smallest == nullptr || cluster.examples.size() < smallest->examples.size()) smallest = &cluster;
    }
    if (smallest != nullptr) take(*smallest, part);
  }

  std::vector<Cluster>& clusters_;
  std::vector<std::int64_t> left_;  ///< by norm: clusters in training
  std::vector<std::int64_t> open_;  ///< by norm: examples that the part still wants
  std::vector<bool> got_some_;      ///< by norm: the part has a cluster
};

double share_of(const Recipe& recipe, const NormRecipe& norm, Part part) {
  if (part == Part::kHeldOut) return recipe.held_out;
  if (norm.norm.judge != JudgeKind::kClassifier) return 0;
  return part == Part::kJudgeTrain ? norm.judge_train : norm.judge_held_out;
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

Splits split_examples(const std::vector<PooledExample>& examples, const Recipe& recipe) {
  std::vector<Cluster> clusters = make_clusters(examples, recipe);
  std::vector<std::int64_t> totals(recipe.norms.size(), 0);
  for (const PooledExample& pooled : examples) ++totals[pooled.norm];
  Dealer dealer(clusters, totals.size());
  for (const Part part : {Part::kHeldOut, Part::kJudgeTrain, Part::kJudgeHeldOut}) {
    std::vector<std::int64_t> targets;
    for (std::size_t norm = 0; norm < totals.size(); ++norm) {
      const double share = share_of(recipe, recipe.norms[norm], part);
      const auto wanted = static_cast<std::int64_t>(std::llround(share * static_cast<double>(totals[norm])));
      targets.push_back(share > 0 ? std::max<std::int64_t>(wanted, 1) : 0);
    }
    dealer.deal(part, std::move(targets));
  }
  Splits splits;
  splits.parts.resize(examples.size());
  splits.clusters = static_cast<std::int64_t>(clusters.size());
  for (const Cluster& cluster : clusters) {
    splits.largest_cluster = std::max(splits.largest_cluster, static_cast<std::int64_t>(cluster.examples.size()));
    for (const std::size_t i : cluster.examples) splits.parts[i] = cluster.part;
  }
  return splits;
}

}  // namespace plumbline
