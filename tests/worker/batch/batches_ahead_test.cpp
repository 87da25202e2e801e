#include "worker/batch/batches_ahead.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace plumbline {
namespace {

using Rows = BatchesAhead::Rows;

Batch batch_of(const Rows& rows) {
  Batch batch;
  batch.rows = rows;
  return batch;
}

TEST(BatchesAheadTest, GivesEveryBatchInItsOrderAndStartsOver) {
  BatchesAhead ahead(batch_of);
  for (const std::vector<Rows>& batches : {std::vector<Rows>{{1, 2}, {3}, {}}, std::vector<Rows>{{4}}, {}}) {
    ahead.begin(batches);
    for (const Rows& rows : batches) EXPECT_EQ(ahead.next().rows, rows);
  }
}

TEST(BatchesAheadTest, MakesThemOnAnotherThread) {
  std::thread::id maker;
  BatchesAhead ahead([&](const Rows& rows) {
    maker = std::this_thread::get_id();
    return batch_of(rows);
  });
  ahead.begin({{1}});
  ahead.next();
  EXPECT_NE(maker, std::this_thread::get_id());
}

TEST(BatchesAheadTest, OneThatNobodyTookIsForgotten) {
  BatchesAhead ahead(batch_of);
  ahead.begin({{1}, {2}, {3}});
  EXPECT_EQ(ahead.next().rows, Rows{1});
  ahead.begin({{7}});
  EXPECT_EQ(ahead.next().rows, Rows{7});
}

TEST(BatchesAheadTest, WhatIsThrownIsThrownWhereTheBatchIsTaken) {
  BatchesAhead ahead([](const Rows& rows) -> Batch {
    if (rows.empty()) throw std::runtime_error("no rows");
    return batch_of(rows);
  });
  ahead.begin({{1}, {}});
  EXPECT_EQ(ahead.next().rows, Rows{1});
  EXPECT_THROW(ahead.next(), std::runtime_error);
}

}  // namespace
}  // namespace plumbline
