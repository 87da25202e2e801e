#include "worker/gradient/tree_reduce.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/worker/gradient/crafted.hpp"
#include "tests/worker/ranks.hpp"

namespace plumbline {
namespace {

bool operator==(const LaneRange& a, const std::pair<int, int>& b) { return a.begin == b.first && a.end == b.second; }

TEST(SubtreesTest, AreMaximalAndInOrder) {
  const auto whole = subtrees_of({0, 12}, 12);
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_TRUE(whole[0] == std::pair(0, 12));
  const auto third = subtrees_of({4, 8}, 12);  // [0,6) = [0,3) + [3,6), [3,6) = [3] + [4,6); [6,9) = [6] + [7,9)
  ASSERT_EQ(third.size(), 3u);
  EXPECT_TRUE(third[0] == std::pair(4, 6));
  EXPECT_TRUE(third[1] == std::pair(6, 7));
  EXPECT_TRUE(third[2] == std::pair(7, 8));
  EXPECT_TRUE(subtrees_of({3, 3}, 12).empty());
  EXPECT_EQ(subtrees_of({0, 1}, 1).size(), 1u);
}

TEST(SubtreesTest, OfAllRanksMakeTheTree) {
  for (int lanes = 1; lanes <= 13; ++lanes)
    for (int world = 1; world <= 14; ++world) {
      int next = 0;
      for (int rank = 0; rank < world; ++rank)
        for (const LaneRange node : subtrees_of(lanes_of(rank, world, lanes), lanes)) {
          EXPECT_EQ(node.begin, next);
          next = node.end;
        }
      EXPECT_EQ(next, lanes);
    }
}

TEST(CraftedTest, AnotherOrderShows) {
  at::Tensor running = lane_values(0, 1000);
  for (int lane = 1; lane < 12; ++lane) running = running + lane_values(lane, 1000);
  const auto other = (running != tree_sum(12, 1000)).sum().item<std::int64_t>();
  EXPECT_GT(other, 100) << "a running sum must not pass for the tree";
}

TEST(LaneAccumulatorTest, KeepsFewBuffersAndReusesThem) {
  std::set<const void*> buffers;
  std::size_t first_step = 0;
  LaneAccumulator accumulator({0, 12}, 12, 64, at::TensorOptions(at::kFloat));
  for (int step = 0; step < 3; ++step) {
    accumulator.reset();
    for (int lane = 0; lane < 12; ++lane) {
      at::Tensor& buffer = accumulator.next_lane();
      EXPECT_EQ(buffer.abs().sum().item<float>(), 0) << "a lane starts from zero";
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.const_data_ptr()) % 64, 0u);
      buffers.insert(buffer.const_data_ptr());
      buffer.fill_(1);
      accumulator.finish_lane();
    }
    ASSERT_EQ(accumulator.partials().size(), 1u);
    EXPECT_EQ(accumulator.partials()[0].sum().item<float>(), 12 * 64);
    if (step == 0) first_step = buffers.size();
  }
  EXPECT_EQ(buffers.size(), first_step) << "memory does not grow with steps";
  EXPECT_LE(first_step, 5u) << "log2(12) + 1";
}

class TreeReduceTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, TreeReduceTest, testing::Range(1, 15));

TEST_P(TreeReduceTest, GivesTheSequentialTreesBits) {
  const int size = GetParam();
  for (const int lanes : {12, 7, 1})
    for (const std::int64_t elements : {1, 17, 1000, 70'001}) {
      const at::Tensor expected = tree_sum(lanes, elements);
      std::vector<char> same(static_cast<std::size_t>(size), 0);
      run_ranks(size, [&](Collective& collective) {
        const auto sum = reduced(collective, lanes, elements);
        same[static_cast<std::size_t>(collective.rank())] = sum.has_value() && sum.value().equal(expected) ? 1 : 0;
      });
      EXPECT_EQ(same, std::vector<char>(static_cast<std::size_t>(size), 1))
          << size << " ranks, " << lanes << " lanes, " << elements << " elements";
    }
}

TEST(TreeReduceSharesTest, DoNotShow) {
  const at::Tensor expected = tree_sum(12, 1000);
  for (const LaneShares& shares : {LaneShares{1, 10, 1}, {7, 2, 3}, {1, 1, 10}, {5, 4, 3}}) {
    std::vector<char> same(3, 0);
    run_ranks(3, [&](Collective& collective) {
      const auto sum = reduced(collective, shares, 1000);
      same[static_cast<std::size_t>(collective.rank())] = sum.has_value() && sum.value().equal(expected) ? 1 : 0;
    });
    EXPECT_EQ(same, std::vector<char>(3, 1)) << testing::PrintToString(shares);
  }
}

}  // namespace
}  // namespace plumbline
