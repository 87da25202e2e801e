#include "coordinator/aggregate/probe.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "coordinator/aggregate/pca.hpp"

namespace plumbline {
namespace {

double normal(SplitMix& random) {  // sum of twelve uniforms
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<double>(random() >> 11) * 0x1p-53;
  return sum;
}

Eigen::MatrixXd noise(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
  SplitMix random(seed);
  Eigen::MatrixXd m(rows, columns);
  for (Eigen::Index i = 0; i < rows; ++i)
    for (Eigen::Index j = 0; j < columns; ++j) m(i, j) = normal(random);
  return m;
}

TEST(Pca, FindsTheDirectionsOfAKnownCloud) {
  // Variances 9 and 1 along (3,4)/5 and (-4,3)/5, none along the third axis, around (1,2,3).
  Eigen::MatrixXd rows(4, 3);
  const Eigen::RowVector3d centre(1, 2, 3), u(0.6, 0.8, 0), v(-0.8, 0.6, 0);
  rows << centre + 3 * u, centre - 3 * u, centre + v, centre - v;
  const Pca pca = fit_pca(rows, 3);
  ASSERT_EQ(pca.components.cols(), 2) << "a direction without variance is left out";
  EXPECT_TRUE(pca.mean.isApprox(centre.transpose(), 1e-12));
  EXPECT_TRUE(pca.components.col(0).isApprox(u.transpose(), 1e-12));
  EXPECT_TRUE(pca.components.col(1).isApprox(-v.transpose(), 1e-12)) << "the largest entry is positive";
  EXPECT_NEAR(pca.explained[0], 0.9, 1e-12);
  EXPECT_NEAR(pca.explained[1], 0.1, 1e-12);
  EXPECT_NEAR(project(pca, rows, 1)(0, 0), 3, 1e-12);
}

TEST(Pca, GivesTheSameForFewRowsAsForMany) {
  const Eigen::MatrixXd rows = noise(6, 9, 3);
  Eigen::MatrixXd repeated(12, 9);
  repeated << rows, rows;  // the same directions, found in the other form
  const Pca few = fit_pca(rows, 3), many = fit_pca(repeated, 3);
  EXPECT_TRUE(few.components.isApprox(many.components, 1e-8));
  EXPECT_TRUE(few.explained.isApprox(many.explained, 1e-8));
}

TEST(Probe, RecoversAPlantedNumberAndBeatsTheConstant) {
  Eigen::MatrixXd features = noise(200, 16, 1);
  features.col(4) *= 6;  // the direction of most variance carries the number
  const Eigen::VectorXd target = 2 * features.col(4).array() + 30;
  const AttributeProbe probe = probe_attribute("root_length", features, target, {8, 2, 1, 64});
  ASSERT_EQ(probe.skipped, "");
  ASSERT_EQ(probe.sizes.size(), 4u) << "a size above the dimension is left out";
  EXPECT_EQ(probe.sizes[0].size, 16);
  EXPECT_EQ(probe.sizes[3].size, 1);
  EXPECT_GT(probe.constant.mae, 5);
  EXPECT_LE(probe.constant.r2, 0);
  EXPECT_LT(probe.sizes[0].mae, 0.1);
  for (const ProbeScore& score : probe.sizes) {
    EXPECT_LT(score.mae_ci.high, probe.constant.mae_ci.low) << score.size;
    EXPECT_GT(score.r2, 0.9) << score.size;
    EXPECT_LE(score.mae_ci.low, score.mae);
    EXPECT_GE(score.mae_ci.high, score.mae);
  }
}

TEST(Probe, FindsNothingWhereThereIsNothing) {
  const Eigen::MatrixXd features = noise(150, 40, 5);
  const Eigen::VectorXd target = noise(150, 1, 6).col(0);
  const AttributeProbe probe = probe_attribute("divergence", features, target, {1});
  for (const ProbeScore& score : probe.sizes) {
    EXPECT_LT(score.r2, 0.15) << score.size;
    EXPECT_GT(score.mae, 0.8 * probe.constant.mae) << score.size;
  }
}

TEST(Probe, WorksWithFewerRowsThanDimensions) {
  Eigen::MatrixXd features = noise(60, 100, 7);
  features.col(0) *= 40;
  const AttributeProbe probe = probe_attribute("x", features, features.col(0), {1});
  EXPECT_GT(probe.sizes[0].r2, 0.8);
  EXPECT_GT(probe.sizes[1].r2, 0.9);
}

Snapshot snapshot_of(const Eigen::MatrixXd& features) {
  Snapshot snapshot;
  snapshot.step = 7;
  snapshot.dimension = features.cols();
  for (Eigen::Index i = 0; i < features.rows(); ++i) {
    snapshot.probe_index.push_back(i);
    snapshot.ids.push_back({0, static_cast<std::uint64_t>(i)});
    snapshot.norms.push_back(0);
    for (Eigen::Index j = 0; j < features.cols(); ++j) snapshot.vectors.push_back(static_cast<float>(features(i, j)));
  }
  return snapshot;
}

TEST(Probe, SkipsWhatIsNotKnownAndSaysSo) {
  const Eigen::MatrixXd features = noise(40, 4, 9);
  Snapshot snapshot = snapshot_of(features);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> half(40, nan), same(40, 3.0f), known(40, nan);
  for (std::size_t i = 0; i < 40; ++i) {
    if (i % 2 == 0) half[i] = static_cast<float>(i);
    if (i >= 10) known[i] = static_cast<float>(features(static_cast<Eigen::Index>(i), 1));
  }
  snapshot.attributes = {{"half", half}, {"same", same}, {"known", known}};
  snapshot.vectors[4 * 39] = std::numeric_limits<float>::infinity();
  const Json json = probe_snapshot(snapshot, {2, 1});
  EXPECT_EQ(json.at("rows"), 39);
  EXPECT_EQ(json.at("step"), 7);
  EXPECT_EQ(json.at("attributes").at("half").at("rows"), 20);
  EXPECT_NE(json.at("attributes").at("half").at("skipped").get<std::string>().find("only 20 rows"), std::string::npos);
  EXPECT_NE(json.at("attributes").at("same").at("skipped").get<std::string>().find("the same for every row"),
            std::string::npos);
  const Json& good = json.at("attributes").at("known");
  EXPECT_EQ(good.at("rows"), 29);
  EXPECT_EQ(good.at("sizes").at(0).at("size"), 4);
  EXPECT_LT(good.at("sizes").at(0).at("mae").get<double>(), good.at("constant").at("mae").get<double>() / 10);
  EXPECT_GT(json.at("explained_variance").at("2"), json.at("explained_variance").at("1"));
  EXPECT_EQ(json.dump(), probe_snapshot(snapshot, {1, 2, 2}).dump()) << "deterministic; sizes as a set";
}

TEST(Probe, OfAnEmptySnapshotIsEmpty) { EXPECT_EQ(probe_snapshot(Snapshot{}, {1}).at("rows"), 0); }

}  // namespace
}  // namespace plumbline
