// A small dataset on disk for the tests of the plan and of the worker: examples of uneven lengths, three norms, all
// kinds.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "common/core/files.hpp"
#include "common/data/dataset.hpp"

namespace plumbline {

struct TinyDataset {
  std::vector<TokenizedExample> train, held_out;
  std::vector<Norm> norms;

  /// `count` training rows; norm 0 holds preferences, norm 1 demonstrations, norm 2 prohibitions and preferences.
  explicit TinyDataset(int count, int held_out_count = 24, unsigned seed = 7) {
    norms.resize(3);
    const char* names[] = {"polite", "mirror", "no-secret"};
    const Objective objectives[] = {Objective::kDpo, Objective::kSft, Objective::kUnlikelihood};
    for (std::size_t n = 0; n < 3; ++n)
      norms[n].name = names[n], norms[n].objective = objectives[n], norms[n].rules.not_a_copy = true;
    std::mt19937 random(seed);
    for (int i = 0; i < count + held_out_count; ++i) {
      TokenizedExample e;
      e.id = {static_cast<std::uint64_t>(i), 1};
      e.norm = static_cast<std::uint16_t>(i % 3);
      e.kind = e.norm == 0   ? ExampleKind::kPreference
               : e.norm == 1 ? ExampleKind::kDemonstration
               : i % 2 == 0  ? ExampleKind::kProhibition
                             : ExampleKind::kPreference;
      e.weight = 1.0f + 0.25f * static_cast<float>(i % 4);
      e.attributes["root_length"] = static_cast<float>(10 + i % 7);
      const auto text = [&] {
        std::vector<std::int32_t> tokens;
        for (unsigned length = 1 + random() % 9; length > 0; --length)
          tokens.push_back(3 + 'a' + static_cast<std::int32_t>(random() % 26));
        tokens.push_back(kEosToken);
        return tokens;
      };
      e.source = text();
      if (e.kind != ExampleKind::kProhibition) e.desired = text();
      if (e.kind != ExampleKind::kDemonstration) e.undesired = text();
      (i < count ? train : held_out).push_back(std::move(e));
    }
  }

  /// Writes two training shards, a held-out one and dataset.json.
  [[nodiscard]] Dataset write(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    DatasetInfo info;
    info.name = "tiny";
    info.norms = norms;
    const auto half = train.begin() + static_cast<std::ptrdiff_t>(train.size() / 2);
    const auto add = [&](const std::string& file, const char* split, const std::vector<TokenizedExample>& rows) {
      if (rows.empty()) return;
      write_shard(folder / file, {info.tokenizer, info.vocab_size, split}, rows).value();
      info.shards.push_back({file, split, static_cast<std::int64_t>(rows.size()), sha256_file(folder / file).value()});
    };
    add("train-00000.h5", kTrainSplit, {train.begin(), half});
    add("train-00001.h5", kTrainSplit, {half, train.end()});
    add("heldout-00000.h5", kHeldOutSplit, held_out);
    write_file_atomically(folder / "dataset.json", to_json(info).dump(2)).value();
    return Dataset::open(folder).value();
  }
};

/// A fresh folder, removed at the end of the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string("plumbline_") + test->test_suite_name() + "_" + test->name();
    for (char& c : name)
      if (c == '/') c = '_';
    path_ = std::filesystem::path(testing::TempDir()) / name;
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace plumbline
