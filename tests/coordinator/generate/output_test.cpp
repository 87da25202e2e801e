#include "coordinator/generate/output.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

TEST(LinesOf, APlainLineStaysALine) {
  const Answer answer{0, false, {{"a\nb\r\\n\t", true, std::nullopt}, {"", false, -1.5}}};
  EXPECT_EQ(lines_of("s", answer, LineForm::kPlain), "a\\nb\\r\\n\t\n\n");
}

TEST(LinesOf, AJsonLineHoldsTheExactText) {
  EXPECT_EQ(lines_of("s\n", {0, false, {{"a\nb", true, std::nullopt}}}, LineForm::kJson),
            "{\"complete\":true,\"output\":\"a\\nb\",\"source\":\"s\\n\"}\n");
  EXPECT_EQ(lines_of("s", {0, true, {{"a", false, -1.5}}}, LineForm::kJson),
            "{\"complete\":false,\"cut\":true,\"output\":\"a\",\"score\":-1.5,\"source\":\"s\"}\n");
  EXPECT_EQ(lines_of("s", {0, false, {{"a", true, std::nullopt}, {"b", true, std::nullopt}}}, LineForm::kJson),
            "{\"complete\":true,\"output\":\"a\",\"sample\":0,\"source\":\"s\"}\n"
            "{\"complete\":true,\"output\":\"b\",\"sample\":1,\"source\":\"s\"}\n");
}

class OutputFile : public ScratchTest {
 protected:
  [[nodiscard]] std::string out() const { return file("out.txt").string(); }
};

TEST_F(OutputFile, IsThereWhenItIsWhole) {
  {
    Output output = Output::open(out(), false).value();
    EXPECT_TRUE(output.write("a\n").value());
    EXPECT_FALSE(std::filesystem::exists(out()));
    Output moved = std::move(output);
    EXPECT_TRUE(moved.write("b\n").value());
    EXPECT_TRUE(moved.commit().has_value());
  }
  EXPECT_EQ(content("out.txt"), "a\nb\n");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFile, LeavesNothingWithoutACommit) {
  { EXPECT_TRUE(Output::open(out(), false).value().write("a\n").value()); }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(OutputFile, LeavesNothingWhenASignalEndsTheProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    Output output = Output::open(out(), false).value();
    Output moved = std::move(output);
    static_cast<void>(moved.write("a\n"));
    if (entries() == 1) ::raise(SIGTERM);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
  EXPECT_EQ(entries(), 0u);
}

TEST_F(OutputFile, TakesTheFoldersThatItNeedsAndNoOtherPlace) {
  put("out.txt", "mine");
  const auto there = Output::open(out(), false);
  ASSERT_TRUE(there.has_error());
  EXPECT_EQ(there.error().code, ErrorCode::kUsage);
  EXPECT_THAT(there.error().hint, HasSubstr("--replace"));
  EXPECT_EQ(content("out.txt"), "mine");
  for (const std::string& place : {folder().string(), std::string("/dev/null")}) {
    const auto no_file = Output::open(place, true);
    ASSERT_TRUE(no_file.has_error()) << place;
    EXPECT_EQ(no_file.error().code, ErrorCode::kUsage);
  }
  const auto under_a_file = Output::open(out() + "/x", false);
  ASSERT_TRUE(under_a_file.has_error());
  EXPECT_EQ(under_a_file.error().code, ErrorCode::kEnvironment);
  {
    Output replaced = Output::open(out(), true).value();
    EXPECT_TRUE(replaced.commit().has_value());
  }
  EXPECT_EQ(content("out.txt"), "");
  Output deep = Output::open(file("a/b/out.txt").string(), false).value();
  EXPECT_TRUE(deep.write("x").value());
  EXPECT_TRUE(deep.commit().has_value());
  EXPECT_EQ(content("a/b/out.txt"), "x");
}

}  // namespace
}  // namespace plumbline
