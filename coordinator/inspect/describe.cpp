#include "coordinator/inspect/describe.hpp"

#include <array>
#include <fstream>
#include <string_view>
#include <system_error>

#include "common/config/adapter_config.hpp"
#include "common/config/weight_files.hpp"
#include "common/data/hdf5.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr const char* kInspectable =
    "What can be inspected: a dataset folder (it has dataset.json), a shard or snapshot (HDF5 files that Plumbline "
    "wrote), a checkpoint folder (MANIFEST.json, or config.json and model.safetensors or its shards), a "
    "LoRA adapter's folder (adapter_config.json), a run directory (journal.jsonl).";

bool has(const fs::path& folder, const char* name) {
  std::error_code ec;
  return fs::exists(folder / name, ec);
}

bool looks_like_hdf5(const fs::path& file) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  std::array<char, 8> begin{};
  std::ifstream in(file, std::ios::binary);
  // The name counts for a file that is cut short within its first bytes.
  return file.extension() == ".h5" ||
         (in.read(begin.data(), begin.size()) && std::string_view(begin.data(), begin.size()) == kSignature);
}

Result<Json> describe_folder(const fs::path& folder, const InspectOptions& options) {
  if (has(folder, "dataset.json")) {
    PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(folder, Verify::kHashes));
    PLUMBLINE_TRY(check_judges(dataset.info().norms, folder.string()));
    return describe_dataset(dataset, options);
  }
  if (has(folder, "MANIFEST.json") || (has(folder, "config.json") && has_weights(folder)))
    return describe_checkpoint(folder);
  if (has(folder, kAdapterConfigFile)) return describe_adapter(folder);
  if (has(folder, "journal.jsonl")) return describe_run(folder);
  return data_error("this folder is nothing that Plumbline knows", folder.string(), kInspectable);
}

Result<Json> describe_file(const fs::path& file, const InspectOptions& options) {
  if (!looks_like_hdf5(file))
    return data_error("this file is nothing that Plumbline knows", file.string(), kInspectable);
  bool shard = false, snapshot = false;
  {
    PLUMBLINE_ASSIGN(const H5File opened, H5File::open(file));
    const auto format = opened.text_attribute("format");
    shard = format.has_value() && *format == "plumbline-shard";
    snapshot = opened.exists("vectors");
  }
  if (shard) return describe_shard(file, options);
  if (!snapshot) return data_error("this HDF5 file is neither a shard nor a snapshot", file.string(), kInspectable);
  PLUMBLINE_ASSIGN(const Snapshot read, read_snapshot(file));
  Json json = describe_snapshot(read);
  json["path"] = file.string();
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

}  // namespace

Result<Json> describe(const fs::path& path, const InspectOptions& options) {
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  if (!fs::exists(status)) return data_error("there is nothing at this path", path.string(), kInspectable);
  if (fs::is_directory(status)) return describe_folder(path, options);
  if (fs::is_regular_file(status)) return describe_file(path, options);
  return data_error("this is neither a file nor a folder", path.string(), kInspectable);
}

}  // namespace plumbline
