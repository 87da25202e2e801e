// A snapshot: pooled encoder vectors of the run's fixed probe set at one step (HDF5; docs/formats.md). Every worker
// writes its part; the coordinator merges the parts, ordered by probe index, into snapshots/step-N.h5.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/example.hpp"

namespace plumbline {

struct Snapshot {
  std::int64_t step = 0;
  std::string pooling = "mean";           ///< over the source's real tokens, EOS included
  std::int64_t dimension = 0;             ///< d_model
  std::vector<std::int64_t> probe_index;  ///< place in the probe set, 0…
  std::vector<ExampleId> ids;
  std::vector<std::uint16_t> norms;
  std::vector<float> vectors;                            ///< rows × dimension, row-major
  std::map<std::string, std::vector<float>> attributes;  ///< by name, one number a row, NaN: unknown
  [[nodiscard]] std::size_t rows() const { return probe_index.size(); }
};
Status write_snapshot(const std::filesystem::path& file, const Snapshot& snapshot);
Result<Snapshot> read_snapshot(const std::filesystem::path& file);
/// Merge parts that together hold each probe index of [0, expected_rows) once; the error names what is missing or
/// doubled.
Result<Snapshot> merge_snapshots(const std::vector<Snapshot>& parts, std::int64_t expected_rows);

}  // namespace plumbline
