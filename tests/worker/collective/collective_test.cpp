#include "worker/collective/collective.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/worker/collective/contract.hpp"
#include "tests/worker/ranks.hpp"
#include "worker/collective/mpi_session.hpp"

namespace plumbline {
namespace {

TEST(CollectiveTest, SelfKeepsTheContract) {
  const auto collective = make_self_collective();
  EXPECT_EQ(collective->size(), 1);
  for (const auto dtype : {at::kFloat, at::kDouble}) EXPECT_EQ(broken_contract(*collective, dtype), "");
}

TEST(CollectiveTest, ThreadsKeepTheContract) {
  for (const int size : {1, 2, 3, 5, 8}) {
    std::vector<std::string> broken(static_cast<std::size_t>(size));
    run_ranks(size, [&](Collective& collective) {
      for (const auto dtype : {at::kFloat, at::kDouble})
        broken[static_cast<std::size_t>(collective.rank())] += broken_contract(collective, dtype);
    });
    for (const auto& what : broken) EXPECT_EQ(what, "") << size << " ranks";
  }
}

TEST(MpirunPlaceTest, TrustsOnlyWholeNumbersThatFit) {
  const auto place = [](const char* rank, const char* size) {
    rank != nullptr ? setenv("OMPI_COMM_WORLD_RANK", rank, 1) : unsetenv("OMPI_COMM_WORLD_RANK");
    size != nullptr ? setenv("OMPI_COMM_WORLD_SIZE", size, 1) : unsetenv("OMPI_COMM_WORLD_SIZE");
    return mpirun_place();
  };
  EXPECT_FALSE(place(nullptr, nullptr));
  EXPECT_FALSE(place("1", nullptr));
  EXPECT_FALSE(place("2", "2"));
  EXPECT_FALSE(place("-1", "2"));
  EXPECT_FALSE(place("1x", "2"));
  EXPECT_FALSE(place("", "2"));
  const auto second = place("1", "2");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->rank, 1);
  EXPECT_EQ(second->size, 2);
  place(nullptr, nullptr);
}

}  // namespace
}  // namespace plumbline
