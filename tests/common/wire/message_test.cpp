#include "common/wire/message.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <set>

namespace plumbline {
namespace {

using testing::HasSubstr;

const std::string kHash(64, 'b');

Hello hello() {
  Hello m;
  m.rank = 1;
  m.world = 4;
  m.host = "node-1";
  m.pid = 77;
  m.group = "00ff";
  m.fingerprint = "cpu AVX2 threads=1";
  return m;
}

/// One valid message of each type.
std::vector<Message> all_messages() {
  Lease lease;
  lease.id = LeaseId(3);
  lease.first_step = 4;
  lease.end_step = 12;
  lease.lane_begin = 6;
  lease.lane_end = 12;
  lease.last = lease.stop = true;
  Assignment assignment;
  assignment.generation = Generation(5);
  assignment.rank = 1, assignment.world = 2, assignment.start_step = 4, assignment.source = 0;
  assignment.resume_from = "checkpoints/step-00000004";
  assignment.mesh = {"node-1:4001", "node-2:4002"};
  assignment.key = kHash;
  assignment.shares = {5, 7};
  assignment.checkpointed = 4, assignment.measured = 3, assignment.make_up = 11;
  return {hello(),
          Welcome{Generation(5), true},
          lease,
          Heartbeat{9, "training", 120, 7, "all_to_all", {0, 2}, 0.25},
          StepDone{10, {{"kind", "train"}, {"loss", 1.5}}},
          PartWritten{12, "model.safetensors", 1ull << 40, kHash, 6},
          Committed{12, kHash},
          Artifact{"snapshot_part", 12, "snapshots/.step-00000012.rank-0001.h5"},
          NcclId{std::string(256, 'c')},
          Failed{3, "the shard is cut short", "train-00000.h5", "Use an intact copy."},
          Finished{12},
          StatusRequest{true},
          StatusReply{{{"step", 3}}},
          StopRequest{},
          StopReply{"stopping after step 3"},
          assignment,
          Ready{9, kHash, {2, 0}},
          Regroup{"rank 1 is gone"},
          Dismissal{},
          StacksRequest{"no progress since 60 s"}};
}

TEST(MessageTest, EachTypeComesBackWithItsNumberAndName) {
  const auto messages = all_messages();
  ASSERT_EQ(messages.size(), std::variant_size_v<Message>);
  std::set<std::string> names;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(messages[i].index(), i);
    const Frame frame = to_frame(messages[i], Generation(5));
    EXPECT_EQ(frame.type, i + 1);
    EXPECT_EQ(frame.generation, Generation(5));
    const auto back = from_frame(frame);
    ASSERT_TRUE(back.has_value()) << to_string(back.error());
    EXPECT_EQ(to_frame(back.value(), Generation(5)).payload, frame.payload);
    names.insert(message_name(messages[i]));
  }
  EXPECT_EQ(names.size(), messages.size());
  EXPECT_EQ(message_name(messages[5]), "PartWritten");
}

TEST(MessageTest, FieldsKeepTheirValues) {
  const auto lease = std::get<Lease>(from_frame(to_frame(all_messages()[2], Generation(1))).value());
  EXPECT_EQ(lease.id, LeaseId(3));
  EXPECT_EQ(lease.first_step, 4);
  EXPECT_EQ(lease.end_step, 12);
  EXPECT_EQ(lease.lane_begin, 6);
  EXPECT_EQ(lease.lane_end, 12);
  EXPECT_TRUE(lease.last && lease.stop);
  Hello said = hello();
  said.role = Role::kClient;
  said.rank = 0;
  const auto heard = std::get<Hello>(from_frame(to_frame(said, Generation())).value());
  EXPECT_EQ(heard.role, Role::kClient);
  EXPECT_EQ(heard.host, "node-1");
  EXPECT_EQ(heard.fingerprint, said.fingerprint);
}

TEST(MessageTest, EveryKeyIsNeededAndOfItsType) {
  for (const Message& message : all_messages()) {
    const Frame frame = to_frame(message, Generation(1));
    const Json good = Json::parse(frame.payload);
    for (const auto& [key, value] : good.items()) {
      Json without = good, wrong = good;
      without.erase(key);
      wrong[key] = value.is_array() ? Json(7) : Json::array();
      for (const Json& bad : {without, wrong}) {
        const auto refused = from_frame({frame.type, frame.generation, bad.dump()});
        ASSERT_TRUE(refused.has_error()) << message_name(message) << " " << key;
        EXPECT_EQ(refused.error().code, ErrorCode::kRun);
        EXPECT_THAT(to_string(refused.error()), HasSubstr(message_name(message)));
      }
    }
  }
}

/// The valid message of this type with one member changed.
Result<Message> with(std::size_t index, const char* key, Json value) {
  Frame frame = to_frame(all_messages()[index], Generation(1));
  Json json = Json::parse(frame.payload);
  json[key] = std::move(value);
  frame.payload = json.dump();
  return from_frame(frame);
}

TEST(MessageTest, ValuesAreBounded) {
  EXPECT_TRUE(with(0, "role", "king").has_error());
  EXPECT_TRUE(with(0, "rank", 4).has_error()) << "a rank is below the world's size";
  EXPECT_TRUE(with(0, "rank", -1).has_error());
  EXPECT_TRUE(with(0, "rank", 1.5).has_error());
  EXPECT_TRUE(with(0, "world", 0).has_error());
  EXPECT_TRUE(with(0, "world", std::numeric_limits<std::int64_t>::max()).has_error());
  EXPECT_TRUE(with(0, "host", std::string(2000, 'h')).has_error());
  EXPECT_TRUE(with(0, "group", "not hex").has_error());
  EXPECT_TRUE(with(1, "generation", -1).has_error());
  EXPECT_TRUE(with(15, "resume_from", "../elsewhere").has_error());
  EXPECT_TRUE(with(15, "resume_from", "/etc").has_error());
  EXPECT_TRUE(with(15, "resume_from", "").has_value());
  EXPECT_TRUE(with(15, "rank", 2).has_error()) << "a rank is below the world's size";
  EXPECT_TRUE(with(15, "source", 2).has_error());
  EXPECT_TRUE(with(15, "mesh", Json::array({"node-1:4001"})).has_error()) << "an address for each rank";
  EXPECT_TRUE(with(15, "mesh", Json::array({"node-1:4001", "node-2"})).has_error());
  EXPECT_TRUE(with(15, "measured", -2).has_error());
  EXPECT_TRUE(with(16, "weights", "").has_error()) << "a step without a digest";
  EXPECT_TRUE(with(16, "step", -1).has_error());
  EXPECT_TRUE(with(2, "end_step", 3).has_error()) << "ends before it begins";
  EXPECT_TRUE(with(2, "lane_end", 5).has_error());
  EXPECT_TRUE(with(3, "step", -1).has_error());
  EXPECT_TRUE(with(3, "step", std::numeric_limits<std::int64_t>::max()).has_error());
  EXPECT_TRUE(with(5, "file", "../model.safetensors").has_error());
  EXPECT_TRUE(with(5, "file", "adapter/adapter_config.json").has_value());
  EXPECT_TRUE(with(5, "parts", 0).has_error());
  EXPECT_TRUE(with(5, "sha256", "b").has_error());
  EXPECT_TRUE(with(7, "kind", "malware").has_error());
  EXPECT_TRUE(with(7, "file", "/etc/passwd").has_error());
  EXPECT_TRUE(with(8, "id", std::string(5000, 'c')).has_error());
  EXPECT_TRUE(with(9, "code", 0).has_error());
  EXPECT_TRUE(with(9, "code", 7).has_error());
  EXPECT_TRUE(with(3, "a key of a later version", 1).has_value());
}

TEST(MessageTest, AnUnknownTypeOrABrokenPayloadIsAnError) {
  EXPECT_TRUE(from_frame({0, Generation(1), "{}"}).has_error());
  EXPECT_THAT(from_frame({21, Generation(1), "{}"}).error().message, HasSubstr("21"));
  EXPECT_TRUE(from_frame({65535, Generation(1), "{}"}).has_error());
  for (const char* payload : {"", "{", "[]", "7", "\"text\"", "{\"step\": \"\xff\"}"}) {
    const auto refused = from_frame({11, Generation(1), payload});
    ASSERT_TRUE(refused.has_error()) << payload;
    EXPECT_EQ(refused.error().code, ErrorCode::kRun) << "a peer's fault is not the user's data";
  }
  EXPECT_TRUE(from_frame({11, Generation(1), std::string(1000, '[')}).has_error());
}

TEST(MessageTest, ALongErrorIsClippedAndStillFitsAFrame) {
  std::string text;
  while (text.size() < 3u << 20) text += "é";
  const Frame frame = to_frame(Failed{4, "x" + text, text, text}, Generation(1));
  ASSERT_TRUE(encode_frame(frame).has_value());
  const auto back = from_frame(frame);
  ASSERT_TRUE(back.has_value()) << to_string(back.error());
  EXPECT_GT(std::get<Failed>(back.value()).message.size(), 60'000u);
}

}  // namespace
}  // namespace plumbline
