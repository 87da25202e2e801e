#include <gtest/gtest.h>

#include "tests/worker/collective/contract.hpp"
#include "tests/worker/gpu_ranks.hpp"

namespace plumbline {
namespace {

TEST(NcclTest, AnIdentifierNeedsNoGpu) {
  const auto first = new_nccl_id(), second = new_nccl_id();
  ASSERT_TRUE(first.has_value()) << to_string(first.error());
  ASSERT_TRUE(second.has_value()) << to_string(second.error());
  EXPECT_EQ(first.value().size(), 256u);
  EXPECT_EQ(first.value().find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(first.value(), second.value());
}

TEST(NcclTest, AnIdentifierThatIsNoneIsRefused) {
  for (const std::string& id : {std::string(), std::string(255, '0'), std::string(256, 'g')}) {
    const auto collective = make_nccl_collective({}, id);
    ASSERT_TRUE(collective.has_error());
    EXPECT_EQ(collective.error().code, ErrorCode::kRun);
    EXPECT_NE(collective.error().message.find("256 hex digits"), std::string::npos);
  }
}

TEST(NcclTest, WithoutAGpuTheEnvironmentIsAtFault) {
  if (num_gpus() > 0) GTEST_SKIP() << "this machine has a GPU";
  const auto collective = make_nccl_collective({}, new_nccl_id().value());
  ASSERT_TRUE(collective.has_error());
  EXPECT_EQ(collective.error().code, ErrorCode::kEnvironment) << to_string(collective.error());
}

TEST(NcclTest, KeepsTheContractOnEveryNumberOfGpus) {
  if (num_gpus() == 0) GTEST_SKIP() << "no GPU in this machine";
  for (int size = 1; size <= num_gpus(); ++size) {
    std::vector<std::string> broken(static_cast<std::size_t>(size));
    run_gpu_ranks(size, [&](Collective& collective, at::Device device) {
      for (const auto dtype : {at::kFloat, at::kDouble})
        broken[static_cast<std::size_t>(collective.rank())] += broken_contract(collective, dtype, device);
    });
    for (const auto& what : broken) EXPECT_EQ(what, "") << size << " GPUs";
  }
}

TEST(NcclTest, ARankThatDoesNotComeIsWaitedForNoLongerThanTheTimeout) {
  if (num_gpus() == 0) GTEST_SKIP() << "no GPU in this machine";
  NcclPlace place;
  place.size = 2;
  place.timeout = std::chrono::milliseconds(500);
  const auto collective = make_nccl_collective(place, new_nccl_id().value());
  ASSERT_TRUE(collective.has_error());
  EXPECT_EQ(collective.error().code, ErrorCode::kRun);
  EXPECT_NE(collective.error().message.find("does not come to an end"), std::string::npos);
}

}  // namespace
}  // namespace plumbline
