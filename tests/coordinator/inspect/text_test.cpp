#include "coordinator/inspect/text.hpp"

#include <gmock/gmock.h>

#include "coordinator/inspect/describe.hpp"
#include "tests/common/plan/tiny_dataset.hpp"
#include "tests/coordinator/inspect/crafted.hpp"

namespace plumbline {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const std::filesystem::path& path) { return to_text(describe(path, {}).value()); }

class TextTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path place(const std::string& name) const { return scratch_.path() / name; }
  ScratchFolder scratch_;
};

TEST_F(TextTest, ADatasetAndItsShards) {
  static_cast<void>(TinyDataset(30).write(place("data")));
  EXPECT_THAT(text_of(place("data")),
              AllOf(HasSubstr("Dataset tiny at "), HasSubstr("byte, 384 ids"), HasSubstr("\nNorms\n"),
                    HasSubstr("no-secret"), HasSubstr("\nLengths in tokens"), HasSubstr("root_length"),
                    HasSubstr("train-00001.h5"), HasSubstr("\nSample rows\n"), HasSubstr("heldout row 8, ")));
  EXPECT_THAT(text_of(place("data") / "train-00000.h5"),
              AllOf(HasSubstr("Shard "), HasSubstr("its SHA-256 in dataset.json"), HasSubstr("no-secret")));
}

TEST_F(TextTest, TextsThatAreLongOrSteerTheTerminalAreTamed) {
  TokenizedExample e;
  for (const char c : std::string("\x1b[31m") + std::string(500, 'x')) e.source.push_back(c + 3);
  e.source.push_back(kEosToken);
  e.desired = {kEosToken};
  write_shard(place("x.h5"), {"byte", 384, kTrainSplit}, {e}).value();
  const std::string text = text_of(place("x.h5"));
  EXPECT_THAT(text, AllOf(HasSubstr("·[31mxxx"), HasSubstr("…\n"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(text, Not(HasSubstr(std::string(100, 'x'))));
}

TEST_F(TextTest, ACheckpointAModelAndASnapshot) {
  write_checkpoint(place("c"), 20);
  EXPECT_THAT(text_of(place("c")),
              AllOf(HasSubstr("Checkpoint "), HasSubstr("shared.weight"), HasSubstr("2 × 3"), HasSubstr("state.json"),
                    HasSubstr("cpu avx2, 1 thread"), HasSubstr("d_model")));
  write_checkpoint(place("with"), 20, With::kAdapter);
  EXPECT_THAT(text_of(place("with")), AllOf(HasSubstr("rank 2, alpha 16, dropout 0, beside q: 8 parameters"),
                                            HasSubstr("adapter/adapter_config.json"), HasSubstr("bbbb")));
  EXPECT_THAT(text_of(place("with") / "adapter"),
              AllOf(HasSubstr("Adapter "), HasSubstr("rank 2"), HasSubstr("2 × 3")));
  write_model(place("m"));
  EXPECT_THAT(text_of(place("m")), AllOf(HasSubstr("Model "), HasSubstr("no MANIFEST.json")));
  write_snapshot(place("s.h5"), crafted_snapshot()).value();
  EXPECT_THAT(text_of(place("s.h5")),
              AllOf(HasSubstr("Snapshot "), HasSubstr("Euclidean length"),
                    HasSubstr("root_length      2   10    15   20"), HasSubstr("unknown          0\n")));
}

TEST_F(TextTest, ARun) {
  write_run(place("run"));
  EXPECT_THAT(text_of(place("run")), AllOf(HasSubstr("Run crafted at "), HasSubstr("20 of 40"), HasSubstr("stopped"),
                                           HasSubstr("step-00000020"), HasSubstr("Newest metrics, train"),
                                           HasSubstr("polite"), HasSubstr("1.25")));
  std::filesystem::remove(place("run") / "checkpoints/step-00000020/MANIFEST.json");
  EXPECT_THAT(text_of(place("run")), HasSubstr("(no sound manifest)"));
}

}  // namespace
}  // namespace plumbline
