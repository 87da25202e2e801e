#include <gtest/gtest.h>

#include "worker/collective/nccl_group.hpp"

namespace plumbline {
namespace {

TEST(NcclAbsentTest, ABuildWithoutCudaSaysSo) {
  const auto id = new_nccl_id();
  ASSERT_TRUE(id.has_error());
  EXPECT_EQ(id.error().code, ErrorCode::kEnvironment);
  EXPECT_NE(id.error().hint.find("workers.device"), std::string::npos);
  const auto collective = make_nccl_collective({}, std::string(256, '0'));
  ASSERT_TRUE(collective.has_error());
  EXPECT_EQ(collective.error().code, ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace plumbline
