#include "common/wire/message.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <set>

namespace plumbline {
namespace {

using testing::HasSubstr;

const std::string kNonce(32, 'a'), kHash(64, 'b');

Hello hello() {
  Hello m;
  m.rank = 1;
  m.world = 4;
  m.host = "node-1";
  m.pid = 77;
  m.group = "00ff";
  m.fingerprint = "cpu AVX2 threads=1";
  m.nonce = kNonce;
  m.proof = kHash;
  return m;
}

/// Rank 1 of an elastic generation of two.
Assignment assignment() {
  Assignment m;
  m.generation = Generation(5);
  m.rank = 1;
  m.world = 2;
  m.resume_from = "checkpoints/step-00000004";
  m.start_step = 4;
  m.source = 0;
  m.mesh = {"127.0.0.1:40000", "node-2:65535"};
  m.key = kHash;
  m.checkpointed = 4;
  m.measured = 2;
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
  lease.last = lease.stop = lease.regroup = true;
  return {Challenge{kNonce},
          hello(),
          Welcome{kHash, Generation(5), true},
          lease,
          Heartbeat{9, "training"},
          StepDone{10, {{"kind", "train"}, {"loss", 1.5}}},
          PartWritten{12, "model.safetensors", 1ull << 40, kHash, 6},
          Committed{12, kHash},
          Artifact{"snapshot_part", 12, "snapshots/.step-00000012.rank-0001.h5"},
          NcclId{std::string(256, 'c')},
          Failed{3, "the shard is cut short", "train-00000.h5", "Use an intact copy."},
          Finished{12},
          StatusRequest{},
          StatusReply{{{"step", 3}}},
          StopRequest{},
          StopReply{"stopping after step 3"},
          assignment(),
          Ready{12, std::string(32, 'd')},
          Regroup{"rank 2 is lost"},
          Dismissal{}};
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
  EXPECT_EQ(message_name(messages[6]), "PartWritten");
}

TEST(MessageTest, FieldsKeepTheirValues) {
  const auto lease = std::get<Lease>(from_frame(to_frame(all_messages()[3], Generation(1))).value());
  EXPECT_EQ(lease.id, LeaseId(3));
  EXPECT_EQ(lease.first_step, 4);
  EXPECT_EQ(lease.end_step, 12);
  EXPECT_EQ(lease.lane_begin, 6);
  EXPECT_EQ(lease.lane_end, 12);
  EXPECT_TRUE(lease.last && lease.stop && lease.regroup);
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
      wrong[key] = Json::array();
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
  EXPECT_TRUE(with(0, "nonce", "abc").has_error());
  EXPECT_TRUE(with(0, "nonce", std::string(32, 'X')).has_error());
  EXPECT_TRUE(with(0, "nonce", std::string(1000, 'a')).has_error());
  EXPECT_TRUE(with(1, "role", "king").has_error());
  EXPECT_TRUE(with(1, "rank", 4).has_error()) << "a rank is below the world's size";
  EXPECT_TRUE(with(1, "rank", -1).has_error());
  EXPECT_TRUE(with(1, "rank", 1.5).has_error());
  EXPECT_TRUE(with(1, "world", std::numeric_limits<std::int64_t>::max()).has_error());
  EXPECT_TRUE(with(1, "host", std::string(2000, 'h')).has_error());
  EXPECT_TRUE(with(1, "group", "not hex").has_error());
  EXPECT_TRUE(with(1, "proof", "").has_error());
  EXPECT_TRUE(with(2, "generation", -1).has_error());
  EXPECT_TRUE(with(3, "end_step", 3).has_error()) << "ends before it begins";
  EXPECT_TRUE(with(3, "lane_end", 5).has_error());
  EXPECT_TRUE(with(4, "step", -1).has_error());
  EXPECT_TRUE(with(4, "step", std::numeric_limits<std::int64_t>::max()).has_error());
  EXPECT_TRUE(with(6, "file", "../model.safetensors").has_error());
  EXPECT_TRUE(with(6, "file", "adapter/adapter_config.json").has_value());
  EXPECT_TRUE(with(6, "parts", 0).has_error());
  EXPECT_TRUE(with(6, "sha256", "b").has_error());
  EXPECT_TRUE(with(8, "kind", "malware").has_error());
  EXPECT_TRUE(with(8, "file", "/etc/passwd").has_error());
  EXPECT_TRUE(with(9, "id", std::string(5000, 'c')).has_error());
  EXPECT_TRUE(with(10, "code", 0).has_error());
  EXPECT_TRUE(with(10, "code", 7).has_error());
  EXPECT_TRUE(with(4, "a key of a later version", 1).has_value());
}

TEST(MessageTest, AnElasticWorkerSaysItsNumberAndWhereItIsReached) {
  Hello said = hello();
  said.rank = 7, said.world = 0, said.mesh = "node-1:40000";
  const auto heard = std::get<Hello>(from_frame(to_frame(said, Generation())).value());
  EXPECT_EQ(heard.rank, 7) << "not a rank: no world bounds it";
  EXPECT_EQ(heard.world, 0);
  EXPECT_EQ(heard.mesh, "node-1:40000");
  for (const char* mesh : {"", "node-1", ":40000", "node-1:", "node-1:http", "node-1:123456", "node-1:-1"}) {
    said.mesh = mesh;
    EXPECT_TRUE(from_frame(to_frame(said, Generation())).has_error()) << mesh;
  }
  said.role = Role::kClient, said.rank = 0;
  EXPECT_TRUE(from_frame(to_frame(said, Generation())).has_value()) << "nobody calls a command";
}

TEST(MessageTest, AnAssignmentKeepsItsValues) {
  const auto heard = std::get<Assignment>(from_frame(to_frame(assignment(), Generation(5))).value());
  EXPECT_EQ(heard.generation, Generation(5));
  EXPECT_EQ(heard.rank, 1);
  EXPECT_EQ(heard.world, 2);
  EXPECT_EQ(heard.resume_from, "checkpoints/step-00000004");
  EXPECT_EQ(heard.start_step, 4);
  EXPECT_EQ(heard.source, 0);
  EXPECT_EQ(heard.mesh, assignment().mesh);
  EXPECT_EQ(heard.key, kHash);
  EXPECT_EQ(heard.checkpointed, 4);
  EXPECT_EQ(heard.measured, 2);
  EXPECT_EQ(heard.pictured, -1);
}

TEST(MessageTest, AnAssignmentIsBounded) {
  constexpr std::size_t kAssignment = 16;
  EXPECT_TRUE(with(kAssignment, "generation", -1).has_error());
  EXPECT_TRUE(with(kAssignment, "world", 0).has_error());
  EXPECT_TRUE(with(kAssignment, "world", 3).has_error()) << "two addresses for three ranks";
  EXPECT_TRUE(with(kAssignment, "rank", 2).has_error());
  EXPECT_TRUE(with(kAssignment, "rank", -1).has_error());
  EXPECT_TRUE(with(kAssignment, "resume_from", "../elsewhere").has_error());
  EXPECT_TRUE(with(kAssignment, "resume_from", "/etc").has_error());
  EXPECT_TRUE(with(kAssignment, "resume_from", "").has_value());
  EXPECT_TRUE(with(kAssignment, "start_step", -1).has_error());
  EXPECT_TRUE(with(kAssignment, "source", -1).has_value());
  EXPECT_TRUE(with(kAssignment, "source", 2).has_error()) << "no rank";
  EXPECT_TRUE(with(kAssignment, "mesh", Json::array()).has_value()) << "a static group has none";
  EXPECT_TRUE(with(kAssignment, "mesh", {"127.0.0.1:40000", "127.0.0.1"}).has_error());
  EXPECT_TRUE(with(kAssignment, "mesh", {"127.0.0.1:40000", std::string(2000, 'h') + ":1"}).has_error());
  EXPECT_TRUE(with(kAssignment, "mesh", {"127.0.0.1:40000", 40000}).has_error());
  EXPECT_TRUE(with(kAssignment, "key", "not hex").has_error());
  EXPECT_TRUE(with(kAssignment, "key", std::string(66, 'a')).has_error());
  EXPECT_TRUE(with(kAssignment, "pictured", -2).has_error());
}

TEST(MessageTest, AStateHasAStepAndADigestOrNeither) {
  constexpr std::size_t kReady = 17;
  EXPECT_TRUE(with(kReady, "step", -1).has_error());
  EXPECT_TRUE(with(kReady, "weights", "").has_error());
  EXPECT_TRUE(with(kReady, "weights", "not hex").has_error());
  EXPECT_TRUE(with(kReady, "step", -2).has_error());
  const auto none = std::get<Ready>(from_frame(to_frame(Ready{}, Generation(1))).value());
  EXPECT_EQ(none.step, -1);
  EXPECT_EQ(none.weights, "");
}

TEST(MessageTest, AnUnknownTypeOrABrokenPayloadIsAnError) {
  EXPECT_TRUE(from_frame({0, Generation(1), "{}"}).has_error());
  EXPECT_THAT(from_frame({21, Generation(1), "{}"}).error().message, HasSubstr("21"));
  EXPECT_TRUE(from_frame({65535, Generation(1), "{}"}).has_error());
  for (const char* payload : {"", "{", "[]", "7", "\"text\"", "{\"step\": \"\xff\"}"}) {
    const auto refused = from_frame({12, Generation(1), payload});
    ASSERT_TRUE(refused.has_error()) << payload;
    EXPECT_EQ(refused.error().code, ErrorCode::kRun) << "a peer's fault is not the user's data";
  }
  EXPECT_TRUE(from_frame({12, Generation(1), std::string(1000, '[')}).has_error());
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

TEST(ProofTest, DependsOnEverythingThatItCovers) {
  std::set<std::string> proofs;
  const auto add = [&](const std::string& secret, const std::string& challenge, const Hello& m) {
    proofs.insert(hello_proof(secret, challenge, m));
  };
  add("s", kNonce, hello());
  add("t", kNonce, hello());
  add("s", std::string(32, 'c'), hello());
  Hello other = hello();
  other.nonce = std::string(32, 'c');
  add("s", kNonce, other);
  other = hello();
  other.rank = 2;
  add("s", kNonce, other);
  other = hello();
  other.role = Role::kClient;
  add("s", kNonce, other);
  proofs.insert(welcome_proof("s", kNonce, kNonce));
  proofs.insert(welcome_proof("s", kNonce, kHash));
  proofs.insert(welcome_proof("s", kHash, kNonce));
  EXPECT_EQ(proofs.size(), 9u);
  for (const auto& proof : proofs) EXPECT_EQ(proof.size(), 64u);
}

TEST(ProofTest, FieldsDoNotRunIntoEachOther) {
  Hello a = hello(), b = hello();
  a.nonce = "aabb";
  b.nonce = "bb";
  EXPECT_NE(hello_proof("s", "00", a), hello_proof("s", "00aa", b));
  EXPECT_NE(welcome_proof("s", "ab", "c"), welcome_proof("s", "b", "ca"));
}

TEST(ProofTest, ComparesWholeProofs) {
  EXPECT_TRUE(proofs_equal("abc", "abc"));
  EXPECT_FALSE(proofs_equal("abc", "abd"));
  EXPECT_FALSE(proofs_equal("abc", "ab"));
  EXPECT_FALSE(proofs_equal("", "a"));
  EXPECT_TRUE(proofs_equal("", ""));
}

}  // namespace
}  // namespace plumbline
