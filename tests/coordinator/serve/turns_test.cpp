#include "coordinator/serve/turns.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <functional>
#include <vector>

namespace plumbline {
namespace {

namespace asio = boost::asio;

TEST(TurnsTest, EachTaskIsDoneOnceAndInOrder) {
  asio::io_context io;
  Turns turns(io);
  std::vector<int> done;
  for (int i = 0; i < 1'000; ++i) turns.add([&done, i] { done.push_back(i); });
  EXPECT_TRUE(done.empty()) << "nothing is done from within add()";
  EXPECT_EQ(turns.waiting(), 1'000u);
  io.run();
  ASSERT_EQ(done.size(), 1'000u);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(done[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(turns.waiting(), 0u);
}

TEST(TurnsTest, OthersHaveTheirTurnInBetween) {
  asio::io_context io;
  Turns turns(io);
  std::size_t done = 0, most_in_a_row = 0;
  for (int i = 0; i < 1'000; ++i) turns.add([&] { ++done; });
  std::size_t seen = 0;
  std::function<void()> other = [&] {
    most_in_a_row = std::max(most_in_a_row, done - seen);
    seen = done;
    if (done < 1'000) asio::post(io, other);
  };
  asio::post(io, other);
  io.run();
  EXPECT_EQ(done, 1'000u);
  EXPECT_LE(most_in_a_row, Turns::kInARow);
}

TEST(TurnsTest, WhatATaskAddsComesBehindTheOthers) {
  asio::io_context io;
  Turns turns(io);
  std::vector<int> done;
  turns.add([&] {
    done.push_back(1);
    turns.add([&] { done.push_back(3); });
  });
  turns.add([&] { done.push_back(2); });
  io.run();
  EXPECT_EQ(done, (std::vector<int>{1, 2, 3}));
  turns.add([&] { done.push_back(4); });
  io.restart();
  io.run();
  EXPECT_EQ(done.back(), 4) << "after it had nothing to do";
}

}  // namespace
}  // namespace plumbline
