#include "coordinator/serve/commit.hpp"

#include <charconv>
#include <optional>
#include <system_error>

#include "common/core/files.hpp"
#include "coordinator/serve/disk.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

Status compare(const fs::path& file, const ManifestFile& reported) {
  std::error_code ec;
  const auto bytes = fs::file_size(file, ec);
  if (ec) return run_error("a part of the checkpoint is gone: " + ec.message(), file.string());
  PLUMBLINE_ASSIGN(const std::string sha256, sha256_file(file));
  if (bytes == reported.bytes && sha256 == reported.sha256) return {};
  return run_error("a part of the checkpoint is not what the worker wrote", file.string(),
                   "The disk, or another program, changed it. Check the file system, then resume the run.");
}

/// The number behind the first `before` in the name.
template <class Number>
std::optional<Number> number_behind(const std::string& name, std::string_view before) {
  const std::size_t found = name.find(before);
  if (found == std::string::npos) return std::nullopt;
  Number number = 0;
  const auto [end, error] = std::from_chars(name.data() + found + before.size(), name.data() + name.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

/// "step-00000100" → 100, and nothing for any other name.
std::optional<Step> step_of(const RunLayout& layout, const fs::path& folder) {
  const std::string name = folder.filename().string();
  const auto number = number_behind<std::int64_t>(name, "step-");
  if (!number || layout.checkpoint(Step(*number)).filename() != name) return std::nullopt;
  return Step(*number);
}

bool is_partial(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return name.starts_with(".step-") && name.ends_with(".partial");
}

/// ".step-00000100.generation-3.partial" → 3, and nothing for any other name.
std::optional<Generation> generation_of(const RunLayout& layout, const fs::path& folder) {
  const std::string name = folder.filename().string();
  const auto step = number_behind<std::int64_t>(name, ".step-");
  const auto number = number_behind<std::uint64_t>(name, ".generation-");
  if (!step || !number || layout.partial_checkpoint(Step(*step), Generation(*number)).filename() != name)
    return std::nullopt;
  return Generation(*number);
}

std::vector<fs::path> folders_in(const fs::path& parent) {
  std::vector<fs::path> folders;
  std::error_code ec;
  for (fs::directory_iterator entry(parent, ec), end; !ec && entry != end; entry.increment(ec))
    if (std::error_code ignored; entry->is_directory(ignored)) folders.push_back(entry->path());
  return folders;
}

}  // namespace

Status store_checkpoint(const RunLayout& layout, const CheckpointManifest& manifest, Generation generation) {
  const fs::path partial = layout.partial_checkpoint(manifest.step, generation),
                 place = layout.checkpoint(manifest.step);
  for (const ManifestFile& file : manifest.files) PLUMBLINE_TRY(compare(partial / file.name, file));
  if (manifest.weights_sha256().empty()) return run_error("the checkpoint has no model.safetensors", partial.string());
  PLUMBLINE_TRY(write_manifest(partial, manifest));
  remove_folder(place);  // Never a committed one: a run goes on from its newest commit.
  return move_folder(partial, place);
}

void prune_checkpoints(const RunLayout& layout, Step newest, const RetentionPolicy& policy,
                       const std::vector<HeldOutMeasure>& measures) {
  std::vector<Step> present;
  for (const fs::path& folder : folders_in(layout.checkpoints()))
    if (const auto step = step_of(layout, folder)) present.push_back(*step);
  for (const Step step : surplus_checkpoints(policy, present, newest, measures)) remove_folder(layout.checkpoint(step));
}

void remove_partial_checkpoints(const RunLayout& layout) {
  for (const fs::path& folder : folders_in(layout.checkpoints()))
    if (is_partial(folder)) remove_folder(folder);
}

void remove_partial_checkpoints(const RunLayout& layout, Generation generation) {
  for (const fs::path& folder : folders_in(layout.checkpoints()))
    if (const auto writer = generation_of(layout, folder); writer && *writer < generation) remove_folder(folder);
}

void remove_uncommitted_checkpoints(const RunLayout& layout, const std::set<Step>& committed) {
  for (const fs::path& folder : folders_in(layout.checkpoints()))
    if (const auto step = step_of(layout, folder); step && !committed.contains(*step)) remove_folder(folder);
}

}  // namespace plumbline
