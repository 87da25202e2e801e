#include "coordinator/aggregate/probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "coordinator/aggregate/pca.hpp"

namespace plumbline {
namespace {

constexpr int kOuterFolds = 5, kInnerFolds = 4;
constexpr double kPenalties[] = {1e-4, 1e-3, 1e-2, 1e-1, 1, 10};

struct Fold {
  std::vector<int> train, test;
};

/// Deal `indices` to folds in turn; they must be shuffled already.
std::vector<Fold> cut(const std::vector<int>& indices, int count) {
  std::vector<Fold> folds(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < indices.size(); ++i)
    for (std::size_t f = 0; f < folds.size(); ++f)
      (i % folds.size() == f ? folds[f].test : folds[f].train).push_back(indices[i]);
  return folds;
}

std::vector<int> shuffled(std::size_t count) {
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  SplitMix random(1);
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

/// Ridge with an unpenalised intercept; the dual form when there are fewer rows than features.
class Ridge {
 public:
  Ridge(const Eigen::MatrixXd& features, const Eigen::VectorXd& target)
      : feature_mean_(features.colwise().mean()), target_mean_(target.mean()) {
    centred_ = features.rowwise() - feature_mean_.transpose();
    residual_ = target.array() - target_mean_;
    primal_ = centred_.cols() <= centred_.rows();
    gram_ =
        primal_ ? Eigen::MatrixXd(centred_.transpose() * centred_) : Eigen::MatrixXd(centred_ * centred_.transpose());
    scale_ = std::max(gram_.trace() / static_cast<double>(std::max<Eigen::Index>(centred_.cols(), 1)), 1e-300);
  }
  Eigen::VectorXd predict(double penalty, const Eigen::MatrixXd& features) const {
    Eigen::MatrixXd system = gram_;
    system.diagonal().array() += penalty * scale_;
    const Eigen::LDLT<Eigen::MatrixXd> solver(system);
    const Eigen::VectorXd weights = primal_ ? Eigen::VectorXd(solver.solve(centred_.transpose() * residual_))
                                            : Eigen::VectorXd(centred_.transpose() * solver.solve(residual_));
    return ((features.rowwise() - feature_mean_.transpose()) * weights).array() + target_mean_;
  }

 private:
  Eigen::VectorXd feature_mean_, residual_;
  double target_mean_, scale_ = 1;
  Eigen::MatrixXd centred_, gram_;
  bool primal_ = true;
};

/// The penalty with the least squared error over the inner folds; of equals the larger.
double choose_penalty(const Eigen::MatrixXd& features, const Eigen::VectorXd& target) {
  std::vector<int> order(static_cast<std::size_t>(features.rows()));
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> errors(std::size(kPenalties), 0.0);
  for (const Fold& fold : cut(order, kInnerFolds)) {
    const Ridge ridge(features(fold.train, Eigen::all), target(fold.train));
    const Eigen::MatrixXd test = features(fold.test, Eigen::all);
    for (std::size_t p = 0; p < errors.size(); ++p)
      errors[p] += (ridge.predict(kPenalties[p], test) - target(fold.test)).squaredNorm();
  }
  std::size_t best = 0;
  for (std::size_t p = 1; p < errors.size(); ++p)
    if (errors[p] <= errors[best]) best = p;
  return kPenalties[best];
}

ProbeScore score(int size, const Eigen::VectorXd& predicted, const Eigen::VectorXd& target) {
  const Eigen::VectorXd errors = (predicted - target).cwiseAbs();
  const std::span<const double> values(errors.data(), static_cast<std::size_t>(errors.size()));
  const double deviation = (target.array() - target.mean()).square().sum();
  return {size, mean(values), bootstrap_mean(values), 1 - errors.squaredNorm() / deviation};
}

Json to_json(const ProbeScore& score) {
  return {{"size", score.size}, {"mae", score.mae}, {"mae_ci", to_json(score.mae_ci)}, {"r2", score.r2}};
}

Json to_json(const AttributeProbe& probe) {
  if (!probe.skipped.empty()) return {{"rows", probe.rows}, {"skipped", probe.skipped}};
  Json sizes = Json::array();
  for (const ProbeScore& s : probe.sizes) sizes.push_back(to_json(s));
  return {{"rows", probe.rows},
          {"constant", {{"mae", probe.constant.mae}, {"mae_ci", to_json(probe.constant.mae_ci)}}},
          {"sizes", std::move(sizes)}};
}

/// Positive sizes below `dimension`, descending, without doubles.
std::vector<int> usable_sizes(std::vector<int> sizes, int dimension) {
  std::erase_if(sizes, [&](int size) { return size < 1 || size >= dimension; });
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

}  // namespace

AttributeProbe probe_attribute(const std::string& name, const Eigen::MatrixXd& features, const Eigen::VectorXd& target,
                               const std::vector<int>& sizes) {
  AttributeProbe probe;
  probe.attribute = name;
  probe.rows = features.rows();
  if (probe.rows < kFewestProbeRows) {
    probe.skipped = fmt::format("only {} rows of the probe set have this number; at least {} are needed", probe.rows,
                                kFewestProbeRows);
    return probe;
  }
  if ((target.array() == target[0]).all()) {
    probe.skipped = "this number is the same for every row of the probe set";
    return probe;
  }
  const int dimension = static_cast<int>(features.cols());
  std::vector<int> all = usable_sizes(sizes, dimension);
  all.insert(all.begin(), dimension);
  Eigen::VectorXd constant(target.size());
  std::vector<Eigen::VectorXd> predicted(all.size(), Eigen::VectorXd(target.size()));
  for (const Fold& fold : cut(shuffled(static_cast<std::size_t>(features.rows())), kOuterFolds)) {
    const Eigen::MatrixXd train = features(fold.train, Eigen::all), test = features(fold.test, Eigen::all);
    const Eigen::VectorXd train_target = target(fold.train);
    constant(fold.test).setConstant(train_target.mean());
    const Pca pca = fit_pca(train, all.size() > 1 ? all[1] : 0);
    for (std::size_t s = 0; s < all.size(); ++s) {
      const Eigen::MatrixXd x = s == 0 ? train : project(pca, train, all[s]);
      const Eigen::MatrixXd x_test = s == 0 ? test : project(pca, test, all[s]);
      predicted[s](fold.test) = Ridge(x, train_target).predict(choose_penalty(x, train_target), x_test);
    }
  }
  probe.constant = score(0, constant, target);
  for (std::size_t s = 0; s < all.size(); ++s) probe.sizes.push_back(score(all[s], predicted[s], target));
  return probe;
}

Json probe_snapshot(const Snapshot& snapshot, const std::vector<int>& sizes) {
  const Eigen::MatrixXd vectors = vectors_of(snapshot);
  std::vector<int> finite;
  for (Eigen::Index i = 0; i < vectors.rows(); ++i)
    if (vectors.row(i).allFinite()) finite.push_back(static_cast<int>(i));
  Json json = {{"step", snapshot.step}, {"pooling", snapshot.pooling},          {"dimension", snapshot.dimension},
               {"rows", finite.size()}, {"explained_variance", Json::object()}, {"attributes", Json::object()}};
  if (finite.empty()) return json;
  const std::vector<int> kept = usable_sizes(sizes, static_cast<int>(snapshot.dimension));
  const Pca pca = fit_pca(vectors(finite, Eigen::all), kept.empty() ? 1 : kept.front());
  for (int size : kept)
    json["explained_variance"][std::to_string(size)] =
        pca.explained.head(std::min<Eigen::Index>(size, pca.explained.size())).sum();
  for (const auto& [name, values] : snapshot.attributes) {
    std::vector<int> known;
    for (int i : finite)
      if (static_cast<std::size_t>(i) < values.size() && std::isfinite(values[static_cast<std::size_t>(i)]))
        known.push_back(i);
    Eigen::VectorXd target(static_cast<Eigen::Index>(known.size()));
    for (std::size_t i = 0; i < known.size(); ++i)
      target[static_cast<Eigen::Index>(i)] = values[static_cast<std::size_t>(known[i])];
    json["attributes"][name] = to_json(probe_attribute(name, vectors(known, Eigen::all), target, sizes));
  }
  return json;
}

}  // namespace plumbline
