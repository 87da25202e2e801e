#include "worker/checkpoint/checkpoint_writer.hpp"

#include <sys/mount.h>

#include <atomic>
#include <fstream>
#include <semaphore>
#include <set>

#include "common/core/files.hpp"
#include "tests/worker/golden.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

class CheckpointWriterTest : public testing::Test {
 protected:
  CheckpointWriterTest() : model_(small_config(), at::kCPU), tokenizer_(make_tokenizer("byte").value()) {
    at::set_num_threads(1);
    model_.initialize(3);
    optimizer_ = make_optimizer({}, model_.parameters());
  }
  CheckpointSource source() const { return {model_, *optimizer_, *tokenizer_}; }
  /// All weights become `value`.
  void set_weights(float value) { model_.parameters().flat().fill_(value); }
  static CheckpointState at_step(std::int64_t step) {
    CheckpointState state;
    state.step = Step(step);
    return state;
  }
  PartReport keep() {
    return [this](const WrittenPart& part) -> Status {
      parts_.push_back(part);
      return {};
    };
  }
  static bool never() { return false; }
  /// What model.safetensors in `folder` holds, where it is the same everywhere.
  static float weights_in(const fs::path& folder) {
    const auto saved = read_safetensors(folder / kModelFile).value();
    const at::Tensor first = saved.begin()->second.reshape({-1});
    for (const auto& [name, tensor] : saved) EXPECT_TRUE(tensor.eq(first[0]).all().item<bool>()) << name;
    return first[0].item<float>();
  }
  static std::set<std::string> names_in(const fs::path& folder) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
    return names;
  }
  fs::path folder(const std::string& name) const { return scratch_.path() / name; }

  TemporaryFolder scratch_;
  T5 model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<WrittenPart> parts_;
};

TEST_F(CheckpointWriterTest, WhatIsWrittenIsWhatWasCopied) {
  CheckpointWriter writer;
  writer.prepare(source(), 0, 1).value();
  for (const int step : {4, 8}) {
    set_weights(static_cast<float>(step));
    parts_.clear();
    const fs::path place = folder(std::to_string(step)) / "made" / "when-written";
    writer.begin(place, source(), at_step(step), 0, 1, keep()).value();
    set_weights(-1);  // training goes on
    writer.wait(never).value();
    EXPECT_EQ(weights_in(place), static_cast<float>(step));
    EXPECT_EQ(read_checkpoint_state(place).value().step, Step(step));
    EXPECT_EQ(static_cast<int>(parts_.size()), checkpoint_parts(source()));
    for (const WrittenPart& part : parts_) {
      EXPECT_EQ(part.bytes, fs::file_size(place / part.file)) << part.file;
      EXPECT_EQ(part.sha256, sha256_file(place / part.file).value()) << part.file;
    }
  }
}

TEST_F(CheckpointWriterTest, ItsFilesAreThoseThatSaveModelWrites) {
  const fs::path saved = folder("saved"), written = folder("written");
  fs::create_directories(saved);
  save_model(model_, saved).value();
  write_checkpoint_parts(written, 0, 1, source(), {}).value();
  for (const char* file : {kModelFile, kModelConfigFile})
    EXPECT_EQ(sha256_file(saved / file).value(), sha256_file(written / file).value()) << file;
}

TEST_F(CheckpointWriterTest, ARankMayHaveOtherPartsInTheNextGeneration) {
  CheckpointWriter writer;
  std::set<std::string> files;
  for (const auto& [rank, world] : {std::pair(0, 2), std::pair(1, 2), std::pair(3, 4)}) {
    parts_.clear();
    writer.prepare(source(), rank, world).value();
    writer.begin(folder("all"), source(), at_step(1), rank, world, keep()).value();
    writer.wait(never).value();
    for (const WrittenPart& part : parts_) files.insert(part.file);
    EXPECT_EQ(parts_.empty(), rank == 3) << "there are three large files";
  }
  EXPECT_EQ(files, names_in(folder("all")));
  EXPECT_EQ(static_cast<int>(files.size()), checkpoint_parts(source()));
}

/// Says when the first part is there, and then waits.
struct Gate {
  std::binary_semaphore reached{0}, open{0};
  std::atomic<int> reports = 0;
  PartReport report() {
    return [this](const WrittenPart&) -> Status {
      if (reports++ == 0) {
        reached.release();
        open.acquire();
      }
      return {};
    };
  }
};

TEST_F(CheckpointWriterTest, WhatIsGivenUpReportsNothingMore) {
  CheckpointWriter writer;
  Gate gate;
  set_weights(1);
  writer.begin(folder("first"), source(), at_step(1), 0, 1, gate.report()).value();
  gate.reached.acquire();
  std::thread opener([&] { gate.open.release(); });
  writer.give_up();
  const int reports = gate.reports;
  opener.join();
  writer.wait(never).value();
  EXPECT_EQ(gate.reports, reports);
  EXPECT_TRUE(writer.failure().has_value()) << "nobody is to blame";
  for (const std::string& name : names_in(folder("first")))
    EXPECT_FALSE(name.ends_with(".tmp")) << "half a file is left: " << name;

  set_weights(2);
  writer.begin(folder("second"), source(), at_step(2), 0, 1, keep()).value();
  writer.wait(never).value();
  EXPECT_EQ(weights_in(folder("second")), 2);
  EXPECT_EQ(static_cast<int>(parts_.size()), checkpoint_parts(source()));
}

TEST_F(CheckpointWriterTest, AWaitIsEndedByAnInterrupt) {
  CheckpointWriter writer;
  Gate gate;
  std::atomic<bool> interrupted = false;
  writer.begin(folder("one"), source(), at_step(1), 0, 1, gate.report()).value();
  gate.reached.acquire();
  std::thread opener([&] {
    interrupted = true;
    gate.open.release();
  });
  writer.wait([&] { return interrupted.load(); }).value();
  opener.join();
  writer.wait(never).value();
  EXPECT_EQ(gate.reports, checkpoint_parts(source())) << "and what was begun is written all the same";
}

TEST_F(CheckpointWriterTest, ItMayBeDestroyedWhileItWrites) {
  Gate gate;
  auto writer = std::make_unique<CheckpointWriter>();
  writer->begin(folder("one"), source(), at_step(1), 0, 1, gate.report()).value();
  gate.reached.acquire();
  std::thread opener([&] { gate.open.release(); });
  writer.reset();
  opener.join();
  const int reports = gate.reports;
  EXPECT_LE(reports, checkpoint_parts(source()));
  for (const std::string& name : names_in(folder("one"))) EXPECT_FALSE(name.ends_with(".tmp")) << name;
}

TEST_F(CheckpointWriterTest, AReportThatCannotBeMadeIsAFailure) {
  CheckpointWriter writer;
  writer
      .begin(folder("one"), source(), at_step(1), 0, 1,
             [](const WrittenPart&) -> Status { return run_error("the connection is lost"); })
      .value();
  EXPECT_EQ(writer.wait(never).error().message, "the connection is lost");
  EXPECT_EQ(writer.failure().error().message, "the connection is lost");
}

TEST_F(CheckpointWriterTest, APlaceThatIsAFileIsNamed) {
  std::ofstream(folder("file")) << "x";
  CheckpointWriter writer;
  writer.begin(folder("file") / "inside", source(), at_step(1), 0, 1, keep()).value();
  const Status status = writer.wait(never);
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kRun);
  EXPECT_EQ(status.error().where, (folder("file") / "inside").string());
  EXPECT_TRUE(parts_.empty());
}

/// A file system of its own, gone with the test.
class SmallDisk {
 public:
  SmallDisk(fs::path place, const char* options) : place_(std::move(place)) {
    fs::create_directories(place_);
    mounted_ = ::mount("tmpfs", place_.c_str(), "tmpfs", 0, options) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(place_.c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  void make_read_only() const { EXPECT_EQ(::mount("", place_.c_str(), "", MS_REMOUNT | MS_RDONLY, nullptr), 0); }

 private:
  fs::path place_;
  bool mounted_ = false;
};

TEST_F(CheckpointWriterTest, AFullDiskIsExplained) {
  const SmallDisk disk(folder("disk"), "size=64k");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small file system needs root";
  CheckpointWriter writer;
  const fs::path place = folder("disk") / "partial";
  writer.begin(place, source(), at_step(1), 0, 1, keep()).value();
  const Status status = writer.wait(never);
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kRun);
  EXPECT_NE(status.error().message.find("the disk is full"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().hint.find("resume"), std::string::npos);
  EXPECT_TRUE(status.error().where.starts_with(place.string())) << status.error().where;
  EXPECT_TRUE(names_in(place).empty()) << "what it had written is free again";
}

TEST_F(CheckpointWriterTest, AReadOnlyDiskIsExplained) {
  const SmallDisk disk(folder("disk"), "size=1m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small file system needs root";
  const fs::path place = folder("disk") / "partial";
  fs::create_directories(place);
  disk.make_read_only();
  CheckpointWriter writer;
  writer.begin(place, source(), at_step(1), 0, 1, keep()).value();
  const Status status = writer.wait(never);
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kRun);
  EXPECT_EQ(status.error().where, (place / kModelConfigFile).string());
  EXPECT_NE(status.error().message.find("Read-only"), std::string::npos) << status.error().message;
}

}  // namespace
}  // namespace plumbline
