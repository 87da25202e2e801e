#include "common/data/hdf5.hpp"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include <fstream>
#include <limits>
#include <thread>

#include "common/core/files.hpp"
#include "tests/common/data/damage.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class H5FileTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name = "file.h5") const { return folder_.path() / name; }
  /// A small file with one of each.
  void write(const std::filesystem::path& file) const {
    H5File out = H5File::create(file).value();
    out.write_attribute("format", "something — ünïcode").value();
    out.write_attribute("version", std::int64_t{-3}).value();
    out.write("a/b/tokens", std::vector<std::uint16_t>{1, 2, 65535}).value();
    out.write("a/empty", std::vector<std::int32_t>{}).value();
    out.write("matrix", std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2}).value();
    out.flush_and_close().value();
  }
  ScratchFolder folder_;
};

TEST_F(H5FileTest, GivesBackWhatWasWritten) {
  write(path());
  const H5File in = H5File::open(path()).value();
  EXPECT_EQ(in.text_attribute("format").value(), "something — ünïcode");
  EXPECT_EQ(in.int_attribute("version").value(), -3);
  EXPECT_THAT(in.read<std::uint16_t>("a/b/tokens").value(), ElementsAre(1, 2, 65535));
  EXPECT_THAT(in.read<std::int32_t>("a/empty").value(), IsEmpty());
  EXPECT_THAT(in.read<float>("matrix").value(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(in.shape("matrix").value(), ElementsAre(3u, 2u));
  EXPECT_THAT(in.shape("a/empty").value(), ElementsAre(0u));
  EXPECT_THAT(in.members("a"), ElementsAre("b", "empty"));
  EXPECT_THAT(in.members("nowhere"), IsEmpty());
  EXPECT_TRUE(in.exists("a/b/tokens"));
  EXPECT_FALSE(in.exists("a/c/tokens"));
  EXPECT_FALSE(in.exists("c"));
}

template <class T>
class H5ElementTest : public testing::Test {};
using Elements = testing::Types<std::uint8_t, std::uint16_t, std::int32_t, std::int64_t, std::uint64_t, float, double>;
TYPED_TEST_SUITE(H5ElementTest, Elements);

TYPED_TEST(H5ElementTest, KeepsEveryBitOfItsExtremes) {
  const ScratchFolder folder;
  using Limits = std::numeric_limits<TypeParam>;
  const std::vector<TypeParam> values{Limits::lowest(), Limits::min(), TypeParam(1), Limits::max()};
  H5File out = H5File::create(folder.path() / "x.h5").value();
  out.write("values", values).value();
  out.flush_and_close().value();
  EXPECT_EQ(H5File::open(folder.path() / "x.h5").value().template read<TypeParam>("values").value(), values);
}

TEST_F(H5FileTest, ExtentIsWhereTheElementsLie) {
  write(path());
  const H5Extent extent = H5File::open(path()).value().extent<std::uint16_t>("a/b/tokens").value();
  ASSERT_EQ(extent.count, 3u);
  const std::string bytes = read_file(path()).value();
  ASSERT_LE(extent.offset + 6, bytes.size());
  EXPECT_EQ(bytes.substr(extent.offset, 6), std::string("\1\0\2\0\xff\xff", 6));
  EXPECT_EQ(H5File::open(path()).value().extent<std::int32_t>("a/empty").value().count, 0u);
}

TEST_F(H5FileTest, TheSameContentIsTheSameBytes) {
  write(path("one.h5"));
  write(path("two.h5"));
  EXPECT_EQ(read_file(path("one.h5")).value(), read_file(path("two.h5")).value());
}

TEST_F(H5FileTest, NothingIsOnDiskBeforeItIsClosed) {
  {
    H5File out = H5File::create(path()).value();
    out.write("values", std::vector<float>{1}).value();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(H5FileTest, ReplacesAnOlderFile) {
  std::ofstream(path()) << std::string(100'000, 'x');
  write(path());
  EXPECT_TRUE(H5File::open(path()).has_value());
}

TEST_F(H5FileTest, AFolderThatIsNotThereIsAnErrorThatNamesTheFile) {
  H5File out = H5File::create(path("nowhere/file.h5")).value();
  out.write("values", std::vector<float>{1}).value();
  const Status status = out.flush_and_close();
  ASSERT_TRUE(status.has_error());
  EXPECT_THAT(to_string(status.error()), HasSubstr("nowhere"));
}

TEST_F(H5FileTest, AFullDiskIsSaidToBeFullAndTheOlderFileStays) {
  const auto disk = folder_.path() / "disk";
  std::filesystem::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "a small file system cannot be mounted here (that needs root)";
  write(disk / "file.h5");
  const std::string before = read_file(disk / "file.h5").value();
  H5File out = H5File::create(disk / "file.h5").value();
  out.write("values", std::vector<double>(20'000)).value();
  const Status status = out.flush_and_close();
  const std::string after = read_file(disk / "file.h5").value();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(disk), {}), 1) << "nothing half-written is left";
  ::umount(disk.c_str());
  ASSERT_TRUE(status.has_error());
  EXPECT_THAT(status.error().message, HasSubstr("the disk is full"));
  EXPECT_THAT(status.error().where, HasSubstr("file.h5"));
  EXPECT_EQ(after, before);
}

TEST_F(H5FileTest, RefusesWhatDoesNotFitTheFormat) {
  write(path());
  const H5File in = H5File::open(path()).value();
  EXPECT_THAT(in.read<std::int32_t>("a/b/tokens").error().message, HasSubstr("another element type"));
  EXPECT_THAT(in.extent<float>("a/b/tokens").error().message, HasSubstr("another element type"));
  EXPECT_THAT(in.read<float>("missing").error().message, HasSubstr("\"missing\""));
  EXPECT_THAT(in.read<float>("a").error().message, HasSubstr("\"a\"")) << "a group is not a dataset";
  EXPECT_THAT(in.text_attribute("version").error().message, HasSubstr("not a string"));
  EXPECT_THAT(in.int_attribute("format").error().message, HasSubstr("not an integer"));
  EXPECT_THAT(in.int_attribute("nothing").error().message, HasSubstr("\"nothing\""));
  EXPECT_EQ(in.read<float>("missing").error().where, path().string());
  EXPECT_EQ(in.read<float>("missing").error().code, ErrorCode::kData);

  H5File out = H5File::create(path("bad.h5")).value();
  EXPECT_TRUE(out.write("matrix", std::vector<float>{1, 2, 3}, {2, 2}).has_error());
  EXPECT_TRUE(out.write_attribute("long", std::string(1 << 20, 'x')).has_error());
  out.write("twice", std::vector<float>{1}).value();
  EXPECT_TRUE(out.write("twice", std::vector<float>{1}).has_error());
}

TEST_F(H5FileTest, RefusesFilesThatAreNotHdf5) {
  EXPECT_THAT(to_string(H5File::open(path()).error()), HasSubstr("no such file"));
  EXPECT_THAT(to_string(H5File::open(folder_.path()).error()), HasSubstr("not a file"));
  std::ofstream(path()) << "{}";
  EXPECT_THAT(to_string(H5File::open(path()).error()), HasSubstr("file.h5"));
}

TEST_F(H5FileTest, SeesEveryCutAndEveryFlippedByte) {
  write(path());
  const auto expect_refused = [&](std::size_t place) {
    const auto file = H5File::open(path());
    ASSERT_TRUE(file.has_error()) << place;
    EXPECT_EQ(file.error().code, ErrorCode::kData);
    EXPECT_EQ(file.error().where, path().string());
  };
  const std::string whole = read_file(path()).value();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    flip_byte(path(), i);
    expect_refused(i);
    flip_byte(path(), i);
  }
  EXPECT_TRUE(H5File::open(path()).has_value());
  for (std::size_t size = whole.size(); size-- > 0;) {
    std::filesystem::resize_file(path(), size);
    expect_refused(size);
  }
  std::ofstream(path(), std::ios::binary) << whole << whole.substr(whole.size() - 16);
  expect_refused(whole.size());
}

TEST_F(H5FileTest, ChecksWhatTheLibraryMakesOfASoundChecksum) {
  // "not HDF5" with a trailer that vouches for it; the number is XXH3-64("not HDF5").
  std::ofstream(path(), std::ios::binary) << "not HDF5"
                                          << "PLMBXXH3" << std::string("\224\272\035\244\372\232\242\127", 8);
  EXPECT_THAT(H5File::open(path()).error().message, HasSubstr("cannot be read as HDF5"));
}

TEST_F(H5FileTest, FilesMayBeUsedFromSeveralThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([this, t] {
      for (int i = 0; i < 5; ++i) write(path(std::to_string(t) + ".h5"));
    });
  for (auto& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) EXPECT_TRUE(H5File::open(path(std::to_string(t) + ".h5")).has_value());
}

}  // namespace
}  // namespace plumbline
