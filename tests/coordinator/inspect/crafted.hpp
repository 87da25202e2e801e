// Small things to inspect, written by hand: a safetensors file, a checkpoint, a snapshot and a run directory.
#pragma once
#include <cmath>
#include <filesystem>
#include <string>

#include "common/config/adapter_config.hpp"
#include "common/config/run_config.hpp"
#include "common/core/files.hpp"
#include "common/core/json.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/record/metrics.hpp"
#include "common/record/run_layout.hpp"
#include "common/record/snapshot.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {

/// `header` with its length before it and `data_bytes` zeros after it.
inline std::string safetensors_bytes(const std::string& header, std::size_t data_bytes) {
  std::string out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(header.size() >> (8 * i)));
  return out + header + std::string(data_bytes, '\0');
}

inline const char* const kTwoTensors =
    R"({"__metadata__":{"format":"pt"},"shared.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
    R"("bias":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})";

/// config.json and model.safetensors: what HF Transformers would load.
inline void write_model(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / "config.json", R"({"model_type":"t5","d_model":3})").value();
  write_file_atomically(folder / "model.safetensors", safetensors_bytes(kTwoTensors, 28)).value();
}

/// A LoRA adapter of rank 2 beside q.
inline void write_adapter(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  LoraConfig lora;
  lora.rank = 2, lora.targets = {"q"};
  write_file_atomically(folder / kAdapterConfigFile, to_peft_config(lora).dump()).value();
  write_file_atomically(folder / kAdapterFile, safetensors_bytes(kTwoTensors, 28)).value();
}

enum class With { kNothing, kAdapter };

inline void write_checkpoint(const std::filesystem::path& folder, std::int64_t step, With with = With::kNothing) {
  write_model(folder);
  std::vector<std::string> names{"config.json", "model.safetensors", "state.json"};
  CheckpointState state;
  state.step = Step(step);
  state.seed = 5;
  state.dataset_hash = std::string(64, 'd');
  state.tokenizer = "byte";
  state.fingerprint = "cpu avx2, 1 thread";
  if (with == With::kAdapter) {
    state.base_sha256 = std::string(64, 'b');
    write_adapter(folder / kAdapterFolder);
    for (const char* name : {kAdapterConfigFile, kAdapterFile})
      names.push_back(std::string(kAdapterFolder) + "/" + name);
  }
  write_file_atomically(folder / "state.json", to_json(state).dump()).value();
  CheckpointManifest manifest;
  manifest.step = Step(step);
  for (const std::string& name : names)
    manifest.files.push_back({name, std::filesystem::file_size(folder / name), sha256_file(folder / name).value()});
  write_manifest(folder, manifest).value();
}

inline Snapshot crafted_snapshot() {
  Snapshot snapshot;
  snapshot.step = 40;
  snapshot.dimension = 2;
  snapshot.probe_index = {0, 1, 2};
  snapshot.ids.resize(3);
  snapshot.norms = {0, 1, 1};
  snapshot.vectors = {3, 4, 0, 0, 6, 8};
  snapshot.attributes["root_length"] = {10, NAN, 20};
  snapshot.attributes["unknown"] = {NAN, NAN, NAN};
  return snapshot;
}

/// A run that took 20 of 40 steps and was stopped, with one checkpoint and one snapshot.
inline void write_run(const std::filesystem::path& folder) {
  const RunLayout layout(folder);
  std::filesystem::create_directories(layout.snapshots());
  RunConfig config;
  config.name = "crafted";
  config.data = "/data/replies";
  config.train.steps = 40;
  write_file_atomically(layout.config(), to_yaml(config)).value();
  write_checkpoint(layout.checkpoint(Step(20)), 20);
  write_snapshot(layout.snapshot(Step(20)), crafted_snapshot()).value();
  auto journal = Journal::open(layout).value();
  journal.append("run_created", Json::object()).value();
  journal.append("checkpoint_committed", {{"step", 20}, {"weights_sha256", std::string(64, 'a')}, {"generation", 1}})
      .value();
  journal.append("run_stopped", {{"step", 20}}).value();
  append_metrics(layout.metrics(), {{"kind", "train"}, {"step", 19}, {"loss", 2.5}}).value();
  append_metrics(layout.metrics(),
                 {{"kind", "train"}, {"step", 20}, {"loss", 1.25}, {"norms", {{"polite", {{"loss", 1.25}}}}}})
      .value();
}

}  // namespace plumbline
