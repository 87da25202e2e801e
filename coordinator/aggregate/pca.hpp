// Principal component analysis of encoder vectors. Rows are examples, columns dimensions. Pure and deterministic: each
// component's sign is chosen so that its entry of largest magnitude is positive.
#pragma once
#include <Eigen/Dense>

#include "common/record/snapshot.hpp"

namespace plumbline {

struct Pca {
  Eigen::VectorXd mean;        ///< [D]
  Eigen::MatrixXd components;  ///< [D, K], orthonormal columns in descending order of variance
  Eigen::VectorXd explained;   ///< [K], share of the total variance, each in [0,1]
};

/// At most `most` components; fewer when the rows do not span that many. `rows` [N, D] must be finite, N ≥ 1.
Pca fit_pca(const Eigen::MatrixXd& rows, int most);
/// The first `size` coordinates (at most the components there are) of each row: [N, size].
Eigen::MatrixXd project(const Pca& pca, const Eigen::MatrixXd& rows, int size);

/// A snapshot's vectors [N, D] as doubles.
Eigen::MatrixXd vectors_of(const Snapshot& snapshot);

}  // namespace plumbline
