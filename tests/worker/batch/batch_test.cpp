#include "worker/batch/batch.hpp"

#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

at::Tensor ids(std::vector<std::vector<std::int64_t>> rows) {
  std::vector<std::int64_t> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return at::tensor(flat, at::kLong).view({static_cast<std::int64_t>(rows.size()), -1});
}

class BatchTest : public testing::Test {
 protected:
  BatchTest() : tiny_(0, 0) {
    tiny_.train.resize(4);
    for (std::size_t i = 0; i < 4; ++i) tiny_.train[i].id = {i, 0};
    tiny_.train[0].kind = ExampleKind::kPreference;
    tiny_.train[0].source = {5, 6, 7, 1}, tiny_.train[0].desired = {8, 1}, tiny_.train[0].undesired = {9, 10, 1};
    tiny_.train[1].kind = ExampleKind::kDemonstration, tiny_.train[1].norm = 1, tiny_.train[1].weight = 2.5f;
    tiny_.train[1].source = {0, 1}, tiny_.train[1].desired = {11, 12, 13, 1};
    tiny_.train[2].kind = ExampleKind::kProhibition, tiny_.train[2].norm = 2;
    tiny_.train[2].source = {1}, tiny_.train[2].undesired = {1};
    tiny_.train[3].kind = ExampleKind::kDemonstration, tiny_.train[3].norm = 1;
    tiny_.train[3].source = {20, 1}, tiny_.train[3].desired = {21, 1};
  }
  Batch make(const std::vector<std::int64_t>& rows, int max_source = 100, int max_output = 100) {
    dataset_ = tiny_.write(folder_.path());
    return make_batch(dataset_->train(), rows, max_source, max_output, at::kCPU);
  }
  ScratchFolder folder_;
  TinyDataset tiny_;
  std::optional<Dataset> dataset_;
};

TEST_F(BatchTest, PadsAndShifts) {
  const Batch batch = make({0, 1, 2});
  EXPECT_TRUE(batch.source_BS.equal(ids({{5, 6, 7, 1}, {0, 1, 0, 0}, {1, 0, 0, 0}})));
  EXPECT_TRUE(batch.source_mask_BS.equal(ids({{1, 1, 1, 1}, {1, 1, 0, 0}, {1, 0, 0, 0}}).to(at::kBool)))
      << "the pad id inside a source is a token";
  EXPECT_TRUE(batch.desired.labels_RT.equal(ids({{8, 1, -100, -100}, {11, 12, 13, 1}})));
  EXPECT_TRUE(batch.desired.input_RT.equal(ids({{0, 8, 0, 0}, {0, 11, 12, 13}})));
  EXPECT_EQ(batch.desired.batch_row, (std::vector<std::int64_t>{0, 1}));
  EXPECT_TRUE(batch.undesired.labels_RT.equal(ids({{9, 10, 1}, {1, -100, -100}})));
  EXPECT_TRUE(batch.undesired.input_RT.equal(ids({{0, 9, 10}, {0, 0, 0}})));
  EXPECT_EQ(batch.undesired.batch_row, (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(batch.norm, (std::vector<std::uint16_t>{0, 1, 2}));
  EXPECT_EQ(batch.kind[2], ExampleKind::kProhibition);
  EXPECT_EQ(batch.weight[1], 2.5f);
}

TEST_F(BatchTest, SaysWhereThePairsOutputsDiffer) {
  tiny_.train[0].desired = {8, 9, 1}, tiny_.train[0].undesired = {8, 10, 11, 1};
  const Batch batch = make({1, 0, 2});
  EXPECT_EQ(batch.desired.length, (std::vector<std::int64_t>{4, 3}));
  EXPECT_EQ(batch.undesired.length, (std::vector<std::int64_t>{4, 1}));
  EXPECT_EQ(batch.desired.differing, (std::vector<TokenSpan>{{0, 4}, {1, 2}})) << "a demonstration differs as a whole";
  EXPECT_EQ(batch.undesired.differing, (std::vector<TokenSpan>{{1, 3}, {0, 1}}));
  const Batch cut = make({0}, 100, 2);
  EXPECT_EQ(cut.desired.differing, (std::vector<TokenSpan>{{1, 2}})) << "after cutting";
  EXPECT_EQ(cut.undesired.differing, (std::vector<TokenSpan>{{1, 2}}));
}

TEST_F(BatchTest, PairsASourceWithAnotherRowsOutput) {
  make({0});
  const Batch batch = make_mismatched_batch(dataset_->train(), {0, 2}, {1, 0, 2, 3}, 100, 3, at::kCPU);
  EXPECT_TRUE(batch.source_BS.equal(ids({{5, 6, 7, 1}, {1, 0, 0, 0}})));
  EXPECT_TRUE(batch.desired.labels_RT.equal(ids({{11, 12, 13}, {1, -100, -100}})))
      << "row 1's desired, cut; row 2's own";
  EXPECT_TRUE(batch.desired.input_RT.equal(ids({{0, 11, 12}, {0, 0, 0}})));
  EXPECT_EQ(batch.desired.batch_row, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(batch.undesired.rows(), 0);
}

TEST_F(BatchTest, CutsSourcesAtTheLeftAndOutputsAtTheRight) {
  const Batch batch = make({0, 1}, 2, 2);
  EXPECT_TRUE(batch.source_BS.equal(ids({{7, 1}, {0, 1}})));
  EXPECT_TRUE(batch.desired.labels_RT.equal(ids({{8, 1}, {11, 12}})));
  EXPECT_TRUE(batch.desired.input_RT.equal(ids({{0, 8}, {0, 11}})));
  EXPECT_TRUE(batch.undesired.labels_RT.equal(ids({{9, 10}})));
}

TEST_F(BatchTest, ASideThatNoRowHasIsEmpty) {
  const Batch batch = make({1, 3});
  EXPECT_EQ(batch.undesired.rows(), 0);
  EXPECT_FALSE(batch.undesired.labels_RT.defined());
  EXPECT_EQ(batch.desired.rows(), 2);
}

}  // namespace
}  // namespace plumbline
