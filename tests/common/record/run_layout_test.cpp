#include "common/record/run_layout.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "common/core/json.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

class RunLayoutTest : public ScratchTest {
 protected:
  RunLayout layout{folder()};
};

TEST_F(RunLayoutTest, EveryNameIsTheDocumentedOne) {
  const RunLayout run("run");
  EXPECT_EQ(run.worker_log(3), "run/logs/worker-0003.log");
  EXPECT_EQ(run.coordinator_log(), "run/logs/coordinator.log");
  EXPECT_EQ(run.checkpoint(Step(100)), "run/checkpoints/step-00000100");
  EXPECT_EQ(run.partial_checkpoint(Step(100), Generation(3)), "run/checkpoints/.step-00000100.generation-3.partial");
  EXPECT_EQ(run.snapshot(Step(100)), "run/snapshots/step-00000100.h5");
  EXPECT_EQ(run.snapshot_part(Step(100), 1), "run/snapshots/.step-00000100.rank-0001.h5");
  EXPECT_EQ(run.evaluation_rows(Step(0)), "run/evaluation/step-00000000.jsonl");
  EXPECT_EQ(run.summary(), "run/evaluation/summary.json");
  EXPECT_EQ(run.checkpoint(Step(123456789012)), "run/checkpoints/step-123456789012") << "a large step is not cut";
}

TEST_F(RunLayoutTest, TheAddressComesBack) {
  ASSERT_TRUE(write_address(layout, {"127.0.0.1", 40123, Generation(7), 4242, "node-1"}).has_value());
  const CoordinatorAddress address = read_address(layout).value();
  EXPECT_EQ(address.host, "127.0.0.1");
  EXPECT_EQ(address.port, 40123);
  EXPECT_EQ(address.generation, Generation(7));
  EXPECT_EQ(address.pid, 4242);
  EXPECT_EQ(address.hostname, "node-1");
}

TEST_F(RunLayoutTest, AWrongAddressIsNamed) {
  EXPECT_EQ(read_address(layout).error().where, layout.coordinator().string());
  const Json good{{"host", "h"}, {"port", 1}, {"generation", 1}, {"pid", 1}, {"hostname", "h"}};
  const auto with = [&](const char* key, Json value) {
    Json json = good;
    json[key] = std::move(value);
    put("coordinator.json", json.dump());
    return read_address(layout);
  };
  EXPECT_TRUE(with("port", 65535).has_value());
  EXPECT_TRUE(with("port", 65536).has_error());
  EXPECT_TRUE(with("port", 0).has_error());
  EXPECT_TRUE(with("port", "80").has_error());
  EXPECT_TRUE(with("host", "").has_error());
  EXPECT_TRUE(with("generation", -1).has_error());
  EXPECT_TRUE(with("junk", std::string(5000, 'x')).has_error()) << "bounded";
}

TEST_F(RunLayoutTest, TheSecretIsPrivateRandomAndWrittenOnce) {
  ASSERT_TRUE(write_secret(layout).has_value());
  struct stat status {};
  ASSERT_EQ(stat(layout.secret().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  const std::string secret = read_secret(layout).value();
  EXPECT_TRUE(is_hex(secret, 64, 64));
  EXPECT_TRUE(write_secret(layout).has_error());
  EXPECT_EQ(read_secret(layout).value(), secret);
  std::filesystem::remove(layout.secret());
  ASSERT_TRUE(write_secret(layout).has_value());
  EXPECT_NE(read_secret(layout).value(), secret);
}

TEST_F(RunLayoutTest, ASecretThatOthersMayReadIsRefused) {
  ASSERT_TRUE(write_secret(layout).has_value());
  for (const mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
    chmod(layout.secret().c_str(), mode);
    const auto secret = read_secret(layout);
    ASSERT_TRUE(secret.has_error()) << std::oct << mode;
    EXPECT_EQ(secret.error().code, ErrorCode::kUsage);
    EXPECT_THAT(secret.error().hint, HasSubstr("chmod 600"));
  }
  chmod(layout.secret().c_str(), 0400);
  EXPECT_TRUE(read_secret(layout).has_value());
}

TEST_F(RunLayoutTest, ASecretIsHexOfItsLength) {
  const auto with = [&](const std::string& content) {
    chmod(put("secret", content).c_str(), 0600);
    return read_secret(layout);
  };
  EXPECT_TRUE(with(std::string(64, '0')).has_value()) << "a newline is not needed";
  EXPECT_TRUE(with(std::string(63, '0') + "\n").has_error());
  EXPECT_TRUE(with(std::string(64, '0') + "\n\n").has_error());
  EXPECT_TRUE(with(std::string(64, 'g')).has_error());
  EXPECT_TRUE(with("").has_error());
  EXPECT_THAT(to_string(with("hunter2").error()), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace plumbline
