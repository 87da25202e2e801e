// Alignments that are simulated while a dataset is curated.
#include "coordinator/curate/curate.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "common/text/alignment.hpp"
#include "coordinator/curate/simulation.hpp"
#include "tests/coordinator/curate/curate_folder.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
class Simulated : public Curate {
 protected:
  Simulated() {
    folder.write("recipe.yaml", R"(name: simulated
seed: 5
held_out: 0.1
norms:
  align: {description: An alignment., rules: {alignment: true}}
sources:
  - {name: pairs, norm: align, format: simulate, examples: 60, sequences: [2, 4], root_length: [12, 24], branch_length: [0.1, 0.4]}
)");
  }
  ~Simulated() override { ::unsetenv("PLUMBLINE_PYTHON"); }
};

TEST_F(Simulated, AMissingPythonOrPackageIsTheEnvironmentsFault) {
  ::setenv("PLUMBLINE_PYTHON", "/nowhere/python", 1);
  const Error none = error_of(options());
  EXPECT_EQ(none.code, ErrorCode::kEnvironment);
  EXPECT_THAT(none.message, HasSubstr("/nowhere/python"));
  EXPECT_THAT(none.hint, HasSubstr("./plumbline setup"));
  folder.write("bin/python", "#!/bin/sh\necho \"No module named 'msasim'\" >&2\nexit 6\n");
  fs::permissions(folder / "bin" / "python", fs::perms::owner_all);
  ::setenv("PLUMBLINE_PYTHON", (folder / "bin/python").c_str(), 1);
  const Error no_package = error_of(options());
  EXPECT_EQ(no_package.code, ErrorCode::kEnvironment);
  EXPECT_THAT(no_package.message, HasSubstr("msasim"));
}

TEST_F(Simulated, AFailureIsToldInPythonsWords) {
  folder.write("python", "#!/bin/sh\necho 'Traceback' >&2\necho 'ValueError: no such model' >&2\nexit 1\n");
  fs::permissions(folder / "python", fs::perms::owner_all);
  ::setenv("PLUMBLINE_PYTHON", (folder / "python").c_str(), 1);
  const Error error = error_of(options());
  EXPECT_EQ(error.code, ErrorCode::kRun);
  EXPECT_THAT(error.message, HasSubstr("ValueError: no such model"));
}

TEST_F(Simulated, SplitsColumnsWhereOppositeChargesMeetWhenAsked) {
  const auto simulate_pairs = [&](double share, const char* out) {
    const std::string name = std::string(out) + ".jsonl";
    return simulate({{"seed", 5},
                     {"examples", 200},
                     {"sequences", {2, 3}},
                     {"model", "WAG"},
                     {"gamma_alpha", 1.0},
                     {"gamma_categories", 4},
                     {"root_length", {20, 40}},
                     {"branch_length", {0.5, 1.0}},
                     {"insertion_rate", {0.0, 0.05}},
                     {"deletion_rate", {0.0, 0.05}},
                     {"zipf_exponent", {1.01, 2.0}},
                     {"max_indel_length", 50},
                     {"split_opposite_charges", share}},
                    folder / name);
  };
  const auto none = simulate_pairs(0, "true");
  if (!none && none.error().code == ErrorCode::kEnvironment) GTEST_SKIP() << to_string(none.error());
  ASSERT_TRUE(none);
  ASSERT_TRUE(simulate_pairs(1, "split"));
  const auto split_columns = [&](const char* file) {
    int meeting = 0, lines = 0;
    std::istringstream text(file_text(folder / file));
    for (std::string line; std::getline(text, line); ++lines) {
      const Rows rows = Json::parse(line).at("rows").get<Rows>();
      for (std::size_t c = 0; c < rows[0].size(); ++c) {
        bool positive = false, negative = false;
        for (const std::string& row : rows) {
          positive |= row[c] == 'K' || row[c] == 'R';
          negative |= row[c] == 'D' || row[c] == 'E';
        }
        meeting += positive && negative ? 1 : 0;
      }
    }
    EXPECT_EQ(lines, 200);
    return meeting;
  };
  EXPECT_GT(split_columns("true.jsonl"), 50);
  EXPECT_EQ(split_columns("split.jsonl"), 0);
}

TEST_F(Simulated, GivesTrueAlignmentsTheSameForASeed) {
  const auto info = curate(options());
  if (!info.has_value() && info.error().code == ErrorCode::kEnvironment) GTEST_SKIP() << to_string(info.error());
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  ASSERT_TRUE(curate(options(false, "again")).has_value());
  EXPECT_EQ(file_text(folder / "out" / "dataset.json"), file_text(folder / "again" / "dataset.json"));
  EXPECT_EQ(info->provenance.at("examples_left_out"), 0) << "an alignment's judge accepts every true alignment";
  const auto dataset = Dataset::open(folder / "out");
  ASSERT_TRUE(dataset.has_value()) << to_string(dataset.error());
  for (std::int64_t row = 0; row < dataset->train().size(); ++row) {
    const auto place = dataset->train().at(row);
    const float root_length = place.shard->attribute(place.row, "root_length");
    EXPECT_GE(root_length, 12);
    EXPECT_LE(root_length, 24);
    EXPECT_GT(place.shard->attribute(place.row, "divergence"), 0.2f);
  }
  EXPECT_THAT(fs::exists(folder / "out" / "pairs.jsonl"), false) << "the simulation's file is gone";
}

}  // namespace
}  // namespace plumbline
