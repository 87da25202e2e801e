#include "common/record/snapshot.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "common/data/hdf5.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kDimension = 3;

/// A part with these probes; every number says which probe it belongs to.
Snapshot part_of(const std::vector<std::int64_t>& probes) {
  Snapshot part;
  part.step = 40;
  part.dimension = kDimension;
  auto& length = part.attributes["root_length"];
  part.attributes["divergence"];
  for (const std::int64_t probe : probes) {
    part.probe_index.push_back(probe);
    part.ids.push_back({static_cast<std::uint64_t>(probe), ~0ull});
    part.norms.push_back(static_cast<std::uint16_t>(probe % 2));
    for (int i = 0; i < kDimension; ++i) part.vectors.push_back(static_cast<float>(10 * probe + i));
    length.push_back(static_cast<float>(100 + probe));
    part.attributes["divergence"].push_back(NAN);
  }
  return part;
}

class SnapshotTest : public ScratchTest {};

TEST_F(SnapshotTest, ComesBackToTheBit) {
  const Snapshot snapshot = part_of({2, 0, 7});
  ASSERT_TRUE(write_snapshot(file("s.h5"), snapshot).has_value());
  const Snapshot back = read_snapshot(file("s.h5")).value();
  EXPECT_EQ(back.step, 40);
  EXPECT_EQ(back.pooling, "mean");
  EXPECT_EQ(back.dimension, kDimension);
  EXPECT_EQ(back.probe_index, snapshot.probe_index);
  EXPECT_EQ(back.ids, snapshot.ids);
  EXPECT_EQ(back.norms, snapshot.norms);
  EXPECT_EQ(back.vectors, snapshot.vectors);
  ASSERT_EQ(back.attributes.size(), 2u);
  EXPECT_EQ(back.attributes.at("root_length"), snapshot.attributes.at("root_length"));
  EXPECT_TRUE(std::isnan(back.attributes.at("divergence")[0]));
}

TEST_F(SnapshotTest, APartWithoutRowsComesBack) {
  ASSERT_TRUE(write_snapshot(file("s.h5"), part_of({})).has_value());
  const Snapshot back = read_snapshot(file("s.h5")).value();
  EXPECT_EQ(back.rows(), 0u);
  EXPECT_EQ(back.dimension, kDimension);
  EXPECT_EQ(back.attributes.size(), 2u);
  Snapshot plain = part_of({1});
  plain.attributes.clear();
  ASSERT_TRUE(write_snapshot(file("s.h5"), plain).has_value());
  EXPECT_TRUE(read_snapshot(file("s.h5")).value().attributes.empty());
}

TEST_F(SnapshotTest, TheFileIsAsDocumented) {
  ASSERT_TRUE(write_snapshot(file("s.h5"), part_of({0, 1})).has_value());
  const H5File h5 = H5File::open(file("s.h5")).value();
  EXPECT_EQ(h5.int_attribute("schema_version").value(), 1);
  EXPECT_EQ(h5.shape("vectors").value(), (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(h5.shape("ids").value(), (std::vector<std::uint64_t>{2, 2}));
  EXPECT_EQ(h5.read<std::uint64_t>("ids").value()[2], 1u) << "the high half comes first";
  EXPECT_EQ(h5.members("attributes"), (std::vector<std::string>{"divergence", "root_length"}));
}

TEST_F(SnapshotTest, WhatDoesNotFitTogetherIsNotWritten) {
  Snapshot snapshot = part_of({0, 1});
  snapshot.norms.pop_back();
  EXPECT_TRUE(write_snapshot(file("s.h5"), snapshot).has_error());
  snapshot = part_of({0, 1});
  snapshot.vectors.pop_back();
  EXPECT_TRUE(write_snapshot(file("s.h5"), snapshot).has_error());
  snapshot = part_of({0, 1});
  snapshot.attributes["a/b"] = {1, 2};
  EXPECT_TRUE(write_snapshot(file("s.h5"), snapshot).has_error());
  EXPECT_EQ(entries(), 0u);
}

TEST_F(SnapshotTest, ADamagedFileIsADataErrorThatNamesIt) {
  ASSERT_TRUE(write_snapshot(file("s.h5"), part_of({0, 1})).has_value());
  const std::string whole = content("s.h5");
  put("s.h5", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(read_snapshot(file("s.h5")).error().code, ErrorCode::kData);
  EXPECT_THAT(read_snapshot(file("s.h5")).error().where, HasSubstr("s.h5"));
  put("s.h5", "no HDF5");
  EXPECT_EQ(read_snapshot(file("s.h5")).error().code, ErrorCode::kData);
  EXPECT_EQ(read_snapshot(file("absent.h5")).error().code, ErrorCode::kData);
}

TEST_F(SnapshotTest, AFileWhoseDatasetsDisagreeIsRefused) {
  H5File h5 = H5File::create(file("s.h5")).value();
  h5.write_attribute("schema_version", std::int64_t{1}).value();
  h5.write_attribute("step", std::int64_t{1}).value();
  h5.write_attribute("pooling", std::string("mean")).value();
  h5.write("vectors", std::vector<float>{1, 2, 3, 4}, {2, 2}).value();
  h5.write("probe_index", std::vector<std::int64_t>{0}).value();
  h5.write("ids", std::vector<std::uint64_t>{1, 2}, {1, 2}).value();
  h5.write("norms", std::vector<std::uint16_t>{0}).value();
  h5.flush_and_close().value();
  EXPECT_THAT(read_snapshot(file("s.h5")).error().message, HasSubstr("do not fit together"));
}

TEST_F(SnapshotTest, MergingOrdersByProbe) {
  const Snapshot merged = merge_snapshots({part_of({3, 0}), part_of({}), part_of({2, 1})}, 4).value();
  const Snapshot expected = part_of({0, 1, 2, 3});
  EXPECT_EQ(merged.step, expected.step);
  EXPECT_EQ(merged.probe_index, expected.probe_index);
  EXPECT_EQ(merged.ids, expected.ids);
  EXPECT_EQ(merged.norms, expected.norms);
  EXPECT_EQ(merged.vectors, expected.vectors);
  EXPECT_EQ(merged.attributes.at("root_length"), expected.attributes.at("root_length"));
}

TEST_F(SnapshotTest, MergingNamesWhatIsMissingDoubledOrForeign) {
  EXPECT_THAT(merge_snapshots({part_of({0}), part_of({2})}, 3).error().message, HasSubstr("probe 1 is missing"));
  EXPECT_THAT(merge_snapshots({part_of({0, 1}), part_of({1})}, 2).error().message, HasSubstr("probe 1 is in"));
  EXPECT_THAT(merge_snapshots({part_of({0, 5})}, 2).error().message, HasSubstr("probe 5"));
  EXPECT_THAT(merge_snapshots({part_of({0, -1})}, 2).error().message, HasSubstr("probe -1"));
  EXPECT_TRUE(merge_snapshots({}, 0).has_error());
  Snapshot other = part_of({1});
  other.step = 41;
  EXPECT_THAT(merge_snapshots({part_of({0}), other}, 2).error().message, HasSubstr("differ"));
  other = part_of({1});
  other.attributes.erase("divergence");
  EXPECT_THAT(merge_snapshots({part_of({0}), other}, 2).error().message, HasSubstr("differ"));
  other = part_of({1});
  other.ids.clear();
  EXPECT_THAT(merge_snapshots({part_of({0}), other}, 2).error().message, HasSubstr("fit together"));
}

}  // namespace
}  // namespace plumbline
