#include "coordinator/serve/admission.hpp"

#include <gmock/gmock.h>

#include "common/config/run_config.hpp"
#include "coordinator/launch/launch.hpp"

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Place = Admission::Place;

constexpr SteadyTime kStart{};
const AdmissionLimits kLimits{.strangers = 2, .connections = 5, .grace = 100ms, .log_every = 1s};

TEST(AdmissionTest, WhoCameFirstMakesRoomOnceItHadItsTime) {
  Admission admission(kLimits);
  EXPECT_EQ(admission.room(kStart).place, Place::kFree);
  admission.came(ConnectionId(1), kStart);
  admission.came(ConnectionId(2), kStart + 50ms);
  const auto full = admission.room(kStart + 60ms);
  EXPECT_EQ(full.place, Place::kWait);
  EXPECT_EQ(full.until, kStart + 100ms);
  const auto late = admission.room(kStart + 100ms);
  EXPECT_EQ(late.place, Place::kEvict);
  EXPECT_EQ(late.oldest, ConnectionId(1));
  EXPECT_TRUE(admission.left(ConnectionId(1)));
  EXPECT_FALSE(admission.left(ConnectionId(1)));
  EXPECT_EQ(admission.room(kStart + 100ms).place, Place::kFree);
}

TEST(AdmissionTest, WhoHasProvedTheKeyIsNoStranger) {
  Admission admission(kLimits);
  for (std::uint64_t id = 1; id <= 10; ++id) {
    admission.came(ConnectionId(id), kStart);
    EXPECT_TRUE(admission.left(ConnectionId(id)));
    EXPECT_EQ(admission.room(kStart).place, Place::kFree);
  }
  EXPECT_FALSE(admission.is_full(4));
  EXPECT_TRUE(admission.is_full(5));
}

TEST(AdmissionTest, ManyStrangersFillNoLog) {
  Admission admission(kLimits);
  int lines = 0;
  std::string newest;
  for (int i = 0; i < 100'000; ++i)
    if (const auto line = admission.turned_away("it is not TLS", kStart + i * 100us)) ++lines, newest = *line;
  EXPECT_EQ(lines, 10) << "of ten seconds";
  EXPECT_THAT(newest, HasSubstr("it is not TLS"));
  EXPECT_THAT(newest, HasSubstr("9999 more"));
}

TEST(AdmissionTest, LimitsFitTheDescriptors) {
  const AdmissionLimits all = within_descriptors({}, 1'000'000);
  EXPECT_EQ(all.connections, AdmissionLimits{}.connections);
  EXPECT_EQ(all.strangers, AdmissionLimits{}.strangers);
  const AdmissionLimits few = within_descriptors({}, 1'024);
  EXPECT_LT(few.connections, 1'000u);
  EXPECT_GT(few.connections, 500u);
  EXPECT_LE(few.strangers, few.connections / 4);
  EXPECT_GE(within_descriptors({}, 10).strangers, 1u);
  EXPECT_GE(raise_descriptor_limit(), 256u);
}

TEST(AdmissionTest, WorkersThatDoNotFitTheDescriptorsAreSaid) {
  EXPECT_TRUE(check_descriptors(10'000, /*elastic=*/false, 10'200).has_value());
  const Status few = check_descriptors(10'000, /*elastic=*/false, 1'024);
  ASSERT_TRUE(few.has_error());
  EXPECT_EQ(few.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(few.error().message, HasSubstr("may open 1024 files"));
  EXPECT_THAT(few.error().message, HasSubstr("needs " + std::to_string(descriptors_for(10'000, false))));
  EXPECT_THAT(few.error().hint, HasSubstr("ulimit"));
  EXPECT_TRUE(check_descriptors(10'000, /*elastic=*/true, 10'200).has_error()) << "each process is watched too";
}

TEST(AdmissionTest, TheLimitOfWorkersIsThatOfLanesAndLeavesRoom) {
  const auto error_with = [](int workers) -> std::string {
    const std::string many = std::to_string(workers);
    const auto config = parse_run_config(
        "data: d\ntrain: {lanes: " + many + ", global_batch: " + many + "}\nworkers: {count: " + many + "}\n",
        "run.yaml", {});
    return config.has_value() ? "" : to_string(config.error());
  };
  EXPECT_EQ(error_with(kMostWorkers), "");
  EXPECT_THAT(error_with(kMostWorkers + 1), HasSubstr("train.lanes"));
  EXPECT_GE(AdmissionLimits{}.connections, static_cast<std::size_t>(kMostWorkers) + 512);
  EXPECT_GE(within_descriptors({}, descriptors_for(10'000, false)).connections, 10'000u);
}

}  // namespace
}  // namespace plumbline
