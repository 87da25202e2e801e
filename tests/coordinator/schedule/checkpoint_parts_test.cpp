#include "coordinator/schedule/checkpoint_parts.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

PartWritten part(const std::string& file, int parts = 2, char digit = 'a') {
  return {8, file, 100, std::string(64, digit), parts};
}

TEST(CheckpointParts, IsCompleteWithTheLastPart) {
  CheckpointParts parts;
  EXPECT_FALSE(parts.complete());
  EXPECT_FALSE(parts.add(part("model.safetensors")).value());
  EXPECT_TRUE(parts.add(part("config.json")).value());
  EXPECT_TRUE(parts.complete());
  ASSERT_EQ(parts.files().size(), 2u);
  EXPECT_EQ(parts.files()[0].name, "config.json");
}

TEST(CheckpointParts, ARepeatedPartIsNoNews) {
  CheckpointParts parts;
  EXPECT_FALSE(parts.add(part("a")).value());
  EXPECT_FALSE(parts.add(part("a")).value());
  EXPECT_TRUE(parts.add(part("b")).value());
  EXPECT_FALSE(parts.add(part("b")).value()) << "it completes once";
}

TEST(CheckpointParts, ContradictionsAreErrors) {
  CheckpointParts parts;
  parts.add(part("a")).value();
  EXPECT_TRUE(parts.add(part("a", 2, 'b')).has_error()) << "other contents";
  EXPECT_TRUE(parts.add(part("b", 3)).has_error()) << "another number of parts";
  parts.add(part("b")).value();
  EXPECT_TRUE(parts.add(part("c")).has_error()) << "one too many";
}

TEST(CheckpointParts, OnlyNamesInsideTheFolderAndHashes) {
  CheckpointParts parts;
  for (const char* name : {"", ".", "..", "../model.safetensors", "/etc/passwd", "a/../b", "a/.b", "a/", ".hidden",
                           "MANIFEST.json", "a b", "a\n"})
    EXPECT_TRUE(parts.add(part(name)).has_error()) << name;
  EXPECT_TRUE(parts.add(part("adapter/adapter_config.json")).has_value());
  EXPECT_TRUE(parts.add(part(std::string(500, 'a'))).has_error());
  EXPECT_TRUE(parts.add(part("a", 0)).has_error());
  EXPECT_TRUE(parts.add(part("a", 1 << 20)).has_error());
  EXPECT_TRUE(parts.add(part("a", 2, 'X')).has_error());
  EXPECT_TRUE(parts.add({8, "a", 1, "abc", 2}).has_error());
}

}  // namespace
}  // namespace plumbline
