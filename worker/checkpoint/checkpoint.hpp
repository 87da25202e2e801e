// The parts of a checkpoint, who writes which, and reading them back. The folder loads in HF Transformers as it stands
// (config.json, model.safetensors, tokenizer files); beside them lie the optimizer's state under the parameters'
// names and state.json. Parts are copied first (checkpoint_copy.hpp) and written into the partial folder, beside
// training (checkpoint_writer.hpp); the coordinator checks them, writes the manifest and renames.
//
// A model with an adapter is saved twice: model.safetensors has the adapter merged into it, for whoever uses the model;
// adapter/ has what was trained, as peft has it, and is what a resume puts beside the start model.
//
// Every rank holds all weights and all of the optimizer's state, so any rank can write any part: rank 0 the model,
// its adapter, the tokenizer's files and state.json, rank 1 + i (mod world) the optimizer's part i. Errors: a full disk
// is a run error that names the path, and what the rank has written of the checkpoint is taken back; the partial
// folder, where others may be writing, is left to the coordinator. A part that does not fit the run is a data error
// naming file and tensor. Reading is for the training thread only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/record/checkpoint_manifest.hpp"
#include "common/text/tokenizer.hpp"
#include "worker/checkpoint/checkpoint_copy.hpp"
#include "worker/model/t5.hpp"
#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kModelConfigFile = "config.json";
inline constexpr const char* kStateFile = "state.json";

/// "optimizer-exp_avg.safetensors"
std::string optimizer_file(const OptimizerPart& part);

/// A part that is on disk, synced.
struct WrittenPart {
  std::string file;  ///< name inside the folder
  std::uint64_t bytes = 0;
  std::string sha256;
};

/// How many files a checkpoint has in all.
int checkpoint_parts(const CheckpointSource& source);

/// Is told of each part once it is on disk; an error ends the writing.
using PartReport = std::function<Status(const WrittenPart&)>;

/// Writes what was copied into `folder`, which is made where it is not there: each file whole or absent, synced, then
/// reported. `go_on` is asked now and then; when it says no, a run error and no half file. On any other error the files
/// that this call wrote are removed. Any thread.
Status write_parts(const std::filesystem::path& folder, const CheckpointCopy& copy, const PartReport& report,
                   const std::function<bool()>& go_on);

/// Copies and writes this rank's parts, all at once.
Result<std::vector<WrittenPart>> write_checkpoint_parts(const std::filesystem::path& folder, int rank, int world,
                                                        const CheckpointSource& source, const CheckpointState& state);

/// state.json of a checkpoint.
Result<CheckpointState> read_checkpoint_state(const std::filesystem::path& folder);
/// Refuses to go on with another dataset, tokenizer, seed or (with an adapter) start model than the checkpoint's.
Status check_resumable(const CheckpointState& saved, const CheckpointState& run, const std::filesystem::path& folder);
/// Reads what was trained: the weights, or with an adapter the adapter.
Status load_trained(const std::filesystem::path& folder, T5& model);
/// Reads the optimizer's state.
Status load_optimizer(const std::filesystem::path& folder, Optimizer& optimizer);

}  // namespace plumbline
