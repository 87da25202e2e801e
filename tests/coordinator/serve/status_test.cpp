// What a status says of groups that are too large to be listed.
#include "coordinator/serve/status.hpp"

#include <gmock/gmock.h>

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class CrowdStatusTest : public testing::Test {
 protected:
  CrowdStatusTest() { config.train.lanes = 20'000; }
  void come(int workers) {
    state.world = workers;
    for (int rank = 0; rank < workers; ++rank) {
      Member& member = state.members[rank];
      member.host = "node-" + std::to_string(rank / 8), member.pid = 1'000 + rank, member.phase = "training";
      member.last_heard = now - std::chrono::milliseconds(rank % 1'000);
    }
  }
  [[nodiscard]] ServedRun served() const { return {layout, config, state, progress, now - 60s, now}; }

  const SteadyTime now = SteadyTime() + 1h;
  RunLayout layout{"runs/crowd"};
  RunConfig config;
  RunState state;
  Progress progress;
};

TEST_F(CrowdStatusTest, AllOfAFewAreListed) {
  come(kMostListed);
  state.members.at(7).connected = false;
  const Json status = live_status(served());
  EXPECT_EQ(status.at("workers").size(), kMostListed - 1);
  EXPECT_EQ(status.at("num_workers"), kMostListed - 1);
  EXPECT_EQ(status.at("workers").at(7).at("rank"), 8);
  EXPECT_THAT(status_text(status), HasSubstr("worker       rank 255 training on node-31"));
  EXPECT_EQ(crowd_text(status), "");
}

TEST_F(CrowdStatusTest, OfThousandsThoseAreListedThatWereHeardLongestAgo) {
  come(10'000);
  state.members.at(4'321).last_heard = now - 40s;
  state.members.at(17).phase = "joining";
  state.members.at(9'999).connected = false;
  const Json status = live_status(served());
  EXPECT_EQ(status.at("num_workers"), 9'999);
  EXPECT_EQ(status.at("num_hosts"), 1'250);
  EXPECT_EQ(status.at("phases"), (Json{{"training", 9'998}, {"joining", 1}}));
  ASSERT_EQ(status.at("workers").size(), kListedOfMore);
  std::vector<int> ranks;
  for (const Json& worker : status.at("workers")) {
    ranks.push_back(worker.at("rank").get<int>());
    EXPECT_GE(worker.at("seconds_since_heartbeat").get<double>(), 0.99);
    EXPECT_EQ(worker.at("lanes").at(0), 2 * ranks.back());
  }
  EXPECT_TRUE(std::is_sorted(ranks.begin(), ranks.end()));
  EXPECT_THAT(ranks, testing::Contains(4'321));
  EXPECT_EQ(crowd_text(status), "9999 workers on 1250 hosts: 1 joining, 9998 training");
  const std::string text = status_text(status);
  EXPECT_THAT(text, HasSubstr("workers      9999 workers on 1250 hosts"));
  EXPECT_THAT(text, HasSubstr("--all"));
  EXPECT_LT(status.dump().size(), 8'000u);
}

TEST_F(CrowdStatusTest, AllAreListedForWhoAsksForAll) {
  come(10'000);
  Json status = live_status(served());
  status["workers"] = workers_json(workers_of(served()));
  EXPECT_EQ(status.at("workers").size(), 10'000u);
  EXPECT_EQ(status.at("workers").at(9'999).at("host"), "node-1249");
  EXPECT_EQ(crowd_text(status), "") << "nothing is left out";
  EXPECT_THAT(status_text(status), Not(HasSubstr("--all")));
}

TEST_F(CrowdStatusTest, OddAnswersAreNoHarm) {
  for (const Json& odd : {Json(), Json(3), Json::array(), Json{{"num_workers", "many"}},
                          Json{{"num_workers", 5}, {"num_hosts", Json()}, {"phases", 4}},
                          Json{{"num_workers", 5}, {"workers", 7}, {"phases", {{"training", "all"}}}}})
    static_cast<void>(crowd_text(odd));
}

}  // namespace
}  // namespace plumbline
