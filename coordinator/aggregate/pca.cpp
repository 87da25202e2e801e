#include "coordinator/aggregate/pca.hpp"

#include <algorithm>
#include <cmath>

namespace plumbline {

Pca fit_pca(const Eigen::MatrixXd& rows, int most) {
  Pca pca;
  pca.mean = rows.colwise().mean();
  const Eigen::MatrixXd centred = rows.rowwise() - pca.mean.transpose();
  // Eigenvectors of the smaller of the D × D and N × N matrices: a probe set is often smaller than d_model.
  const bool by_dimension = centred.cols() <= centred.rows();
  const Eigen::MatrixXd gram =
      by_dimension ? Eigen::MatrixXd(centred.transpose() * centred) : Eigen::MatrixXd(centred * centred.transpose());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
  const Eigen::VectorXd& values = solver.eigenvalues();  // ascending
  const double total = gram.trace();
  const double floor = std::max(total, 0.0) * 1e-12;
  int kept = 0;
  while (kept < most && kept < values.size() && values[values.size() - 1 - kept] > floor) ++kept;
  pca.components.resize(centred.cols(), kept);
  pca.explained.resize(kept);
  for (int k = 0; k < kept; ++k) {
    const Eigen::Index at = values.size() - 1 - k;
    Eigen::VectorXd component = solver.eigenvectors().col(at);
    if (!by_dimension) component = centred.transpose() * component;
    component.normalize();
    Eigen::Index largest = 0;
    component.cwiseAbs().maxCoeff(&largest);
    if (component[largest] < 0) component = -component;
    pca.components.col(k) = component;
    pca.explained[k] = values[at] / total;
  }
  return pca;
}

Eigen::MatrixXd project(const Pca& pca, const Eigen::MatrixXd& rows, int size) {
  const Eigen::Index kept = std::min<Eigen::Index>(size, pca.components.cols());
  return (rows.rowwise() - pca.mean.transpose()) * pca.components.leftCols(kept);
}

Eigen::MatrixXd vectors_of(const Snapshot& snapshot) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const RowMajor>(snapshot.vectors.data(), static_cast<Eigen::Index>(snapshot.rows()),
                                    static_cast<Eigen::Index>(snapshot.dimension))
      .cast<double>();
}

}  // namespace plumbline
