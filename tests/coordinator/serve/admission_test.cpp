#include "coordinator/serve/admission.hpp"

#include <gmock/gmock.h>

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

}  // namespace
}  // namespace plumbline
