// What compressed encoder vectors still tell: a ridge regression from each size to each known number of the examples
// (root_length, divergence, …), scored on rows that trained neither it nor the compression.
//
// Five outer folds by a fixed shuffle. In each, PCA and the regression see the other four folds only; the ridge penalty
// is chosen among six (1e-4 … 10 times the mean squared norm of a feature) by four inner folds of those. The constant
// predictor answers the training folds' mean. MAE and R² are over the pooled predictions of the held-out folds.
#pragma once
#include <Eigen/Dense>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/record/snapshot.hpp"
#include "coordinator/aggregate/bootstrap.hpp"

namespace plumbline {

struct ProbeScore {
  int size = 0;  ///< numbers kept of each vector; 0: the constant predictor
  double mae = 0;
  Interval mae_ci;
  double r2 = 0;  ///< 1 − squared error / squared deviation from the mean; can be negative
};

struct AttributeProbe {
  std::string attribute;
  std::int64_t rows = 0;  ///< rows with this number
  std::string skipped;    ///< why there are no scores; empty when there are
  ProbeScore constant;
  std::vector<ProbeScore> sizes;  ///< the full vector first, then `sizes` in descending order
};

inline constexpr std::int64_t kFewestProbeRows = 25;

/// Scores of `features` [N, D] for `target` [N] at the given sizes (those above D are left out).
AttributeProbe probe_attribute(const std::string& name, const Eigen::MatrixXd& features, const Eigen::VectorXd& target,
                               const std::vector<int>& sizes);

/// {"step", "pooling", "dimension", "rows", "explained_variance": {SIZE: share}, "attributes": {NAME: {"rows",
/// "constant": {"mae", "mae_ci"}, "sizes": [{"size", "mae", "mae_ci", "r2"}]} or {"rows", "skipped"}}}. Rows with a
/// vector that is not finite are left out; NaN attributes are skipped.
Json probe_snapshot(const Snapshot& snapshot, const std::vector<int>& sizes);

}  // namespace plumbline
