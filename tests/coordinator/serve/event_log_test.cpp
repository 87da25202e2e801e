#include "coordinator/serve/event_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

constexpr double kTime = 1764066253.5;  // of the lines below

Json train(std::int64_t step, double loss = 2) {
  return {{"kind", "train"}, {"step", step}, {"time", "2025-11-25T10:24:13.500000Z"}, {"loss", loss}};
}
Json held_out(std::int64_t step) {
  return {{"kind", "heldout"},
          {"step", step},
          {"time", "2025-11-25T10:24:13.500000Z"},
          {"norms", {{"polite", {{"loss", 1.5}}}}}};
}
std::string record_of(const Json& line) {
  return scalars_record(kTime, line.at("step").get<std::int64_t>(), scalars_of(line));
}

class EventLogTest : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> contents() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder.path())) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<std::string> contents;
    for (const fs::path& file : files) contents.push_back(read_file(file).value());
    return contents;
  }
  ScratchFolder folder;
  RunLayout layout{folder.path()};
  std::string head = event_file_head(kTime);
};

TEST(ScalarsOf, HaveTheNamesThatPeopleKnow) {
  const Json line{{"kind", "train"},
                  {"step", 3},
                  {"time", "…"},
                  {"loss", 1.5},
                  {"learning_rate", 0.001},
                  {"grad_norm", nullptr},
                  {"phase_seconds", {{"backward", 0.25}}},
                  {"norms", {{"polite", {{"loss", 2}, {"rewards/margins", 0.5}}}}}};
  EXPECT_THAT(scalars_of(line),
              testing::UnorderedElementsAre(Scalar{"loss", 1.5}, Scalar{"learning_rate", 0.001},
                                            Scalar{"phase_seconds/backward", 0.25}, Scalar{"norm/polite/loss", 2},
                                            Scalar{"norm/polite/rewards/margins", 0.5}));
  EXPECT_THAT(scalars_of(held_out(3)), ElementsAre(Scalar{"heldout/polite/loss", 1.5}));
  for (const Json& none : {Json(), Json::array(), Json{{"step", 1}}, Json{{"norms", 3}}})
    EXPECT_THAT(scalars_of(none), IsEmpty());
}

TEST_F(EventLogTest, ARunIsOneFile) {
  EventLog log(layout, {});
  EXPECT_THAT(contents(), IsEmpty()) << "not before there is something to say";
  for (const Json& line : {held_out(0), train(1), train(2), held_out(2), train(3)}) log.add(line).value();
  EXPECT_THAT(contents(), ElementsAre(head + record_of(held_out(0)) + record_of(train(1)) + record_of(train(2)) +
                                      record_of(held_out(2)) + record_of(train(3))));
  const std::string name = fs::directory_iterator(folder.path())->path().filename();
  EXPECT_THAT(name, StartsWith("events.out.tfevents.1764066253."));
}

TEST_F(EventLogTest, AStartAfterAStopAppendsAFile) {
  EventLog(layout, {}).add(train(1)).value();
  EventLog(layout, {train(1)}).add(train(2)).value();
  EXPECT_THAT(contents(),
              ElementsAre(head + record_of(train(1)), head + restart_record(kTime, 2) + record_of(train(2))));
}

TEST_F(EventLogTest, StepsThatAreTakenAgainStandOnce) {
  EventLog first(layout, {});
  for (const Json& line : {train(1), train(2), held_out(2), train(3), train(4)}) first.add(line).value();
  EventLog second(layout, {train(1), train(2), held_out(2), train(3), train(4)});
  second.add(train(3, 7)).value();  // resumed from a checkpoint of step 2
  second.add(train(4, 8)).value();
  second.add(train(2, 9)).value();  // and the group once more from one of step 1
  second.add(held_out(2)).value();
  EXPECT_THAT(contents(),
              ElementsAre(head + record_of(train(1)), head,
                          head + restart_record(kTime, 2) + record_of(train(2, 9)) + record_of(held_out(2))));
}

TEST_F(EventLogTest, FilesOfOtherProgramsAreLeftAlone) {
  write_file_atomically(folder.path() / "events.out.tfevents.9999999999.host", "mine").value();
  EventLog log(layout, {train(5)});
  log.add(train(1)).value();
  EXPECT_THAT(contents(), ElementsAre(head + record_of(train(1)), "mine"));
}

TEST_F(EventLogTest, ItIsGivenUpWhenItCannotBeWritten) {
  const RunLayout nowhere(folder.path() / "nowhere");
  EventLog log(nowhere, {});
  EXPECT_EQ(log.add(train(1)).error().code, ErrorCode::kRun);
  fs::create_directory(nowhere.root());
  EXPECT_TRUE(log.add(train(2)).has_value());
  EXPECT_TRUE(fs::is_empty(nowhere.root())) << "said once, and then no more";
}

}  // namespace
}  // namespace plumbline
