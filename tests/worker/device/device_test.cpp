#include "worker/device.hpp"

#include <gtest/gtest.h>

#include "tests/worker/ranks.hpp"
#include "worker/numerics.hpp"

namespace plumbline {
namespace {

std::vector<int> indices(const Result<std::vector<at::Device>>& devices) {
  std::vector<int> all;
  for (const at::Device device : devices.value()) all.push_back(device.is_cuda() ? device.index() : -1);
  return all;
}

TEST(AssignDevicesTest, EachRankOfAHostTakesTheNextGpu) {
  const std::vector<RankGpus> ranks{{"a", {"a0", "a1"}}, {"b", {"b0", "b1"}}, {"a", {"a0", "a1"}}, {"b", {"b0", "b1"}}};
  EXPECT_EQ(indices(assign_devices("auto", ranks)), (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(indices(assign_devices("cuda", ranks)), (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(indices(assign_devices("cpu", ranks)), (std::vector<int>{-1, -1, -1, -1}));
}

TEST(AssignDevicesTest, ASchedulerMayShowEachRankItsOwnGpuAlone) {
  const std::vector<RankGpus> ranks{{"a", {"a0"}}, {"a", {"a1"}}, {"a", {"a2"}}};
  EXPECT_EQ(indices(assign_devices("cuda", ranks)), (std::vector<int>{0, 0, 0}));
}

TEST(AssignDevicesTest, MoreWorkersThanGpusIsAnError) {
  const std::vector<RankGpus> ranks{{"a", {"a0", "a1"}}, {"a", {"a0", "a1"}}, {"a", {"a0", "a1"}}};
  EXPECT_EQ(indices(assign_devices("auto", ranks)), (std::vector<int>{-1, -1, -1})) << "auto takes the CPU";
  const auto devices = assign_devices("cuda", ranks);
  ASSERT_TRUE(devices.has_error());
  EXPECT_EQ(devices.error().code, ErrorCode::kEnvironment);
  EXPECT_EQ(devices.error().where, "workers.device");
  EXPECT_NE(devices.error().message.find("workers 0 and 2 on a would share one GPU"), std::string::npos);
}

TEST(AssignDevicesTest, AHostWithoutAGpuPutsAllOnTheCpuOrFails) {
  const std::vector<RankGpus> ranks{{"a", {"a0"}}, {"b", {}}};
  EXPECT_EQ(indices(assign_devices("auto", ranks)), (std::vector<int>{-1, -1}));
  const auto devices = assign_devices("cuda", ranks);
  ASSERT_TRUE(devices.has_error());
  EXPECT_EQ(devices.error().code, ErrorCode::kEnvironment);
  EXPECT_NE(devices.error().message.find("worker 1 sees no GPU on b"), std::string::npos);
}

TEST(ChooseDeviceTest, AllRanksComeToTheSameChoice) {
  const bool has_gpu = !visible_gpus().empty();
  run_ranks(3, [&](Collective& collective) {
    EXPECT_TRUE(choose_device("cpu", collective).value().is_cpu());
    if (has_gpu) return;  // What follows depends on how many.
    EXPECT_TRUE(choose_device("auto", collective).value().is_cpu());
    const auto forced = choose_device("cuda", collective);
    ASSERT_TRUE(forced.has_error());
    EXPECT_EQ(forced.error().code, ErrorCode::kEnvironment);
  });
}

TEST(NumericFingerprintTest, NamesWhatDecidesTheBits) {
  const std::string one = numeric_fingerprint(at::kCPU, 1, Precision::kFp32);
  EXPECT_NE(one, numeric_fingerprint(at::kCPU, 2, Precision::kFp32));
  EXPECT_NE(one, numeric_fingerprint(at::kCPU, 1, Precision::kBf16));
  for (const char* part : {"cpu ", "threads=1", "torch=", "mkl_cbwr=", "reduction=reproducible"})
    EXPECT_NE(one.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace plumbline
