// A snapshot file (HDF5), schema version 1; n rows, d numbers a vector. docs/formats.md says the same:
//   attributes of the root   schema_version (int64, 1), step (int64), pooling (UTF-8 string, "mean")
//   /vectors                 float32 [n, d]   pooled encoder vectors
//   /probe_index             int64   [n]      place of each row in the run's probe set, each at most once
//   /ids                     uint64  [n, 2]   example ids, the high half first
//   /norms                   uint16  [n]      index into the dataset's norms
//   /attributes/NAME         float32 [n]      a number known of each example, NaN where it is unknown
// A merged file has probe_index 0 … n-1 in order; a worker's part has the rows that it computed, in any order.
#include "common/record/snapshot.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "common/core/files.hpp"
#include "common/data/hdf5.hpp"

namespace plumbline {

namespace {

constexpr std::int64_t kSchemaVersion = 1;
constexpr const char* kAttributes = "attributes";

std::string attribute_path(const std::string& name) { return std::string(kAttributes) + "/" + name; }

/// The datasets must describe the same rows.
Status check_shapes(const Snapshot& snapshot, const std::string& where) {
  const std::size_t rows = snapshot.rows();
  bool fits = snapshot.dimension >= 0 && snapshot.ids.size() == rows && snapshot.norms.size() == rows &&
              (rows == 0 ? snapshot.vectors.empty()
                         : snapshot.vectors.size() % rows == 0 &&
                               snapshot.vectors.size() / rows == static_cast<std::size_t>(snapshot.dimension));
  for (const auto& [name, numbers] : snapshot.attributes) fits = fits && is_file_name(name) && numbers.size() == rows;
  if (!fits) return data_error("the parts of the snapshot do not fit together", where);
  return {};
}

/// Appends row `from` of `part` to `merged`.
void append_row(Snapshot& merged, const Snapshot& part, std::size_t from) {
  merged.probe_index.push_back(part.probe_index[from]);
  merged.ids.push_back(part.ids[from]);
  merged.norms.push_back(part.norms[from]);
  const auto vector = part.vectors.begin() + static_cast<std::ptrdiff_t>(from) * part.dimension;
  merged.vectors.insert(merged.vectors.end(), vector, vector + part.dimension);
  for (const auto& [name, numbers] : part.attributes) merged.attributes[name].push_back(numbers[from]);
}

bool same_attribute_names(const Snapshot& a, const Snapshot& b) {
  return std::equal(a.attributes.begin(), a.attributes.end(), b.attributes.begin(), b.attributes.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

}  // namespace

Status write_snapshot(const std::filesystem::path& file, const Snapshot& snapshot) {
  PLUMBLINE_TRY(check_shapes(snapshot, file.string()));
  std::vector<std::uint64_t> ids;
  ids.reserve(2 * snapshot.ids.size());
  for (const ExampleId& id : snapshot.ids) ids.insert(ids.end(), {id.high, id.low});
  PLUMBLINE_ASSIGN(H5File h5, H5File::create(file));
  PLUMBLINE_TRY(h5.write_attribute("schema_version", kSchemaVersion));
  PLUMBLINE_TRY(h5.write_attribute("step", snapshot.step));
  PLUMBLINE_TRY(h5.write_attribute("pooling", snapshot.pooling));
  PLUMBLINE_TRY(
      h5.write("vectors", snapshot.vectors, {snapshot.rows(), static_cast<std::uint64_t>(snapshot.dimension)}));
  PLUMBLINE_TRY(h5.write("probe_index", snapshot.probe_index));
  PLUMBLINE_TRY(h5.write("ids", ids, {snapshot.rows(), 2}));
  PLUMBLINE_TRY(h5.write("norms", snapshot.norms));
  for (const auto& [name, numbers] : snapshot.attributes) PLUMBLINE_TRY(h5.write(attribute_path(name), numbers));
  return h5.flush_and_close();
}

Result<Snapshot> read_snapshot(const std::filesystem::path& file) {
  const std::string where = file.string();
  PLUMBLINE_ASSIGN(const H5File h5, H5File::open(file));
  PLUMBLINE_ASSIGN(const std::int64_t version, h5.int_attribute("schema_version"));
  if (version != kSchemaVersion)
    return data_error("the snapshot has schema version " + std::to_string(version) + ", this program reads version " +
                          std::to_string(kSchemaVersion),
                      where, "Use the program that wrote it, or a newer one.");
  Snapshot snapshot;
  PLUMBLINE_ASSIGN(snapshot.step, h5.int_attribute("step"));
  PLUMBLINE_ASSIGN(snapshot.pooling, h5.text_attribute("pooling"));
  PLUMBLINE_ASSIGN(const auto shape, h5.shape("vectors"));
  if (shape.size() != 2) return data_error("the dataset \"vectors\" does not have two dimensions", where);
  snapshot.dimension = static_cast<std::int64_t>(shape[1]);
  PLUMBLINE_ASSIGN(snapshot.vectors, h5.read<float>("vectors"));
  PLUMBLINE_ASSIGN(snapshot.probe_index, h5.read<std::int64_t>("probe_index"));
  PLUMBLINE_ASSIGN(const auto ids, h5.read<std::uint64_t>("ids"));
  if (ids.size() % 2 != 0) return data_error("the dataset \"ids\" does not hold pairs", where);
  for (std::size_t i = 0; i < ids.size(); i += 2) snapshot.ids.push_back({ids[i], ids[i + 1]});
  PLUMBLINE_ASSIGN(snapshot.norms, h5.read<std::uint16_t>("norms"));
  for (const std::string& name : h5.members(kAttributes)) {
    PLUMBLINE_ASSIGN(snapshot.attributes[name], h5.read<float>(attribute_path(name)));
  }
  PLUMBLINE_TRY(check_shapes(snapshot, where));
  return snapshot;
}

Result<Snapshot> merge_snapshots(const std::vector<Snapshot>& parts, std::int64_t expected_rows) {
  if (parts.empty()) return data_error("there are no snapshot parts to merge");
  struct Place {
    const Snapshot* part;
    std::size_t row;
  };
  std::vector<std::optional<Place>> places(static_cast<std::size_t>(std::max<std::int64_t>(expected_rows, 0)));
  const Snapshot& first = parts.front();
  for (const Snapshot& part : parts) {
    PLUMBLINE_TRY(check_shapes(part, "snapshot part"));
    if (part.step != first.step || part.pooling != first.pooling || part.dimension != first.dimension ||
        !same_attribute_names(part, first))
      return data_error("the snapshot's parts differ in step, pooling, dimension or attributes");
    for (std::size_t row = 0; row < part.rows(); ++row) {
      const std::int64_t index = part.probe_index[row];
      if (index < 0 || index >= expected_rows)
        return data_error("a snapshot part holds probe " + std::to_string(index) + ", the probe set has " +
                          std::to_string(expected_rows));
      auto& place = places[static_cast<std::size_t>(index)];
      if (place) return data_error("probe " + std::to_string(index) + " is in the snapshot's parts twice");
      place = Place{&part, row};
    }
  }
  const auto missing = std::find(places.begin(), places.end(), std::nullopt);
  if (missing != places.end())
    return data_error("probe " + std::to_string(missing - places.begin()) + " is missing from the snapshot's parts");
  Snapshot merged;
  merged.step = first.step;
  merged.pooling = first.pooling;
  merged.dimension = first.dimension;
  for (const auto& [name, numbers] : first.attributes) merged.attributes[name];
  for (const auto& place : places) append_row(merged, *place->part, place->row);
  return merged;
}

}  // namespace plumbline
