#include "common/core/files.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <set>

#include "common/core/hashed_file.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

class FilesTest : public ScratchTest {};

/// Lets no file of this process grow beyond `bytes`: a write fails half-way, as on a disk that fills up.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(FilesTest, ReadsBytesAsTheyAre) {
  const std::string bytes("a\0b\r\n\xff", 6);
  EXPECT_EQ(read_file(put("f", bytes)).value(), bytes);
  EXPECT_EQ(read_file(put("empty", "")).value(), "");
  const std::string large(700'000, 'x');
  EXPECT_EQ(read_file(put("large", large)).value(), large);
}

TEST_F(FilesTest, ReadingIsBounded) {
  put("f", "12345");
  EXPECT_EQ(read_file(file("f"), 5).value(), "12345");
  const auto refused = read_file(file("f"), 4);
  EXPECT_EQ(refused.error().code, ErrorCode::kData);
  EXPECT_THAT(refused.error().message, HasSubstr("larger than 4 bytes"));
  EXPECT_EQ(read_file("/dev/zero", 1 << 20).error().code, ErrorCode::kData) << "a file without an end";
}

TEST_F(FilesTest, WhatCannotBeReadIsNamed) {
  const auto missing = read_file(file("absent.yaml"));
  EXPECT_EQ(missing.error().code, ErrorCode::kData);
  EXPECT_EQ(to_string(missing.error()), file("absent.yaml").string() + ": no such file");
  EXPECT_THAT(to_string(read_file(folder()).error()), HasSubstr("a folder, not a file"));
  put("f", "x");
  EXPECT_EQ(read_file(file("f") / "inner").error().code, ErrorCode::kData);
}

TEST_F(FilesTest, AnAtomicWriteReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(write_file_atomically(file("f"), "one").has_value());
  ASSERT_TRUE(write_file_atomically(file("f"), "two").has_value());
  EXPECT_EQ(content("f"), "two");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FilesTest, AFailedAtomicWriteLeavesTheOldFile) {
  put("f", "old");
  {
    const FileSizeLimit limit(4096);
    const Status status = write_file_atomically(file("f"), std::string(100'000, 'x'));
    ASSERT_TRUE(status.has_error());
    EXPECT_EQ(status.error().code, ErrorCode::kRun);
    EXPECT_EQ(status.error().where, file("f").string());
  }
  EXPECT_EQ(content("f"), "old");
  EXPECT_EQ(entries(), 1u) << "the temporary file is gone";
  std::filesystem::create_directory(file("d"));
  put("d/inside", "x");
  EXPECT_TRUE(write_file_atomically(file("d"), "x").has_error()) << "a folder is not replaced";
  EXPECT_EQ(entries(), 2u);
  EXPECT_EQ(write_file_atomically(file("no/f"), "x").error().where, file("no/f").string());
}

TEST_F(FilesTest, AFileIsHashedOnItsWay) {
  const std::string bytes(9'000'000, 'x');
  put("f", "old");
  EXPECT_EQ(write_file_hashed(file("f"), bytes, [] { return true; }).value(), sha256_hex(bytes));
  EXPECT_TRUE(content("f") == bytes);
  EXPECT_EQ(write_file_hashed(file("empty"), "", [] { return true; }).value(), sha256_hex(std::string_view()));
  EXPECT_EQ(entries(), 2u);
}

TEST_F(FilesTest, AFileThatIsGivenUpLeavesTheOldOne) {
  put("f", "old");
  const std::string bytes(9'000'000, 'x');
  for (int asked = 0; asked < 4; ++asked) {  // three blocks, and the name
    int left = asked;
    const auto written = write_file_hashed(file("f"), bytes, [&] { return left-- > 0; });
    ASSERT_TRUE(written.has_error()) << asked;
    EXPECT_EQ(written.error().code, ErrorCode::kRun);
    EXPECT_EQ(written.error().where, file("f").string());
    EXPECT_EQ(content("f"), "old");
    EXPECT_EQ(entries(), 1u);
  }
}

TEST_F(FilesTest, AFullDiskIsARunErrorThatSaysSo) {
  const Status status = append_line("/dev/full", "line");
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kRun);
  EXPECT_THAT(status.error().message, HasSubstr("the disk is full"));
  EXPECT_THAT(status.error().hint, HasSubstr("Free some space"));
}

TEST_F(FilesTest, AppendingAddsWholeLines) {
  ASSERT_TRUE(append_line(file("f"), "one").has_value());
  ASSERT_TRUE(append_line(file("f"), "two").has_value());
  EXPECT_EQ(content("f"), "one\ntwo\n");
}

TEST_F(FilesTest, AppendingCutsOffWhatACrashLeft) {
  put("f", "one\n" + std::string(10'000, 'x'));
  ASSERT_TRUE(append_line(file("f"), "two").has_value());
  EXPECT_EQ(content("f"), "one\ntwo\n");
  put("g", std::string(4096, 'x') + "\n" + std::string(4096, 'y'));  // the newline on the edge of a block
  ASSERT_TRUE(append_line(file("g"), "z").has_value());
  EXPECT_EQ(content("g"), std::string(4096, 'x') + "\nz\n");
  put("h", "only half a li");
  ASSERT_TRUE(append_line(file("h"), "whole").has_value());
  EXPECT_EQ(content("h"), "whole\n");
}

TEST_F(FilesTest, AFailedAppendLeavesNoHalfLine) {
  put("f", "one\n");
  {
    const FileSizeLimit limit(10);
    EXPECT_TRUE(append_line(file("f"), "a line that does not fit").has_error());
  }
  EXPECT_EQ(content("f"), "one\n");
}

TEST_F(FilesTest, APrivateFileIsForItsOwnerAndNew) {
  ASSERT_TRUE(write_private_file(file("s"), "secret").has_value());
  struct stat status {};
  ASSERT_EQ(stat(file("s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(write_private_file(file("s"), "other").error().code, ErrorCode::kUsage);
  EXPECT_EQ(content("s"), "secret");
}

TEST_F(FilesTest, HashesAreTheStandardOnes) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),  // RFC 4231, case 2
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  const std::string large(1'000'000, 'a');  // FIPS 180-2's long message
  EXPECT_EQ(sha256_file(put("large", large)).value(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(large))), sha256_hex(large));
  EXPECT_EQ(sha256_file(file("absent")).error().where, file("absent").string());
}

TEST_F(FilesTest, RandomBytesDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(random_bytes(16));
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(random_bytes(0), "");
  EXPECT_EQ(random_bytes(1000).size(), 1000u);
}

TEST_F(FilesTest, FsyncNamesWhatIsMissing) {
  EXPECT_TRUE(fsync_path(folder()).has_value());
  EXPECT_EQ(fsync_path(file("absent")).error().where, file("absent").string());
}

TEST(NamesTest, HexIsLowerCaseOfALength) {
  EXPECT_EQ(to_hex(std::string("\x00\xff\x1a", 3)), "00ff1a");
  EXPECT_TRUE(is_hex("00ff1a", 6, 6));
  EXPECT_TRUE(is_hex("", 0, 4));
  EXPECT_FALSE(is_hex("00FF", 0, 8));
  EXPECT_FALSE(is_hex("00f", 4, 8));
  EXPECT_FALSE(is_hex("00ff1", 0, 4));
}

TEST(NamesTest, AFileNameLeadsNowhereElse) {
  for (const char* good : {"model.safetensors", "a b", "..a", ".hidden", "ä"}) EXPECT_TRUE(is_file_name(good)) << good;
  for (const char* bad : {"", ".", "..", "a/b", "/a", "a/"}) EXPECT_FALSE(is_file_name(bad)) << bad;
  EXPECT_FALSE(is_file_name(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_file_name(std::string(256, 'a')));
}

TEST(NamesTest, AnInnerPathStaysInside) {
  for (const char* good : {"a", "checkpoints/step-00000008", "a/b/c.h5"}) EXPECT_TRUE(is_inner_path(good)) << good;
  for (const char* bad : {"", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "./a"})
    EXPECT_FALSE(is_inner_path(bad)) << bad;
}

}  // namespace
}  // namespace plumbline
