#include "worker/checkpoint/checkpoint.hpp"

#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>

#include "common/config/adapter_config.hpp"
#include "common/core/files.hpp"
#include "common/core/hashed_file.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

/// The system's reason for a full disk, in words that say what to do.
Error explained(Error error, const fs::path& path) {
  error.code = ErrorCode::kRun;
  if (error.where.empty()) error.where = path.string();
  if (error.message.find(std::strerror(ENOSPC)) == std::string::npos &&
      error.message.find("disk is full") == std::string::npos)
    return error;
  error.message = "the checkpoint could not be written: the disk is full";
  error.hint = "Free some space, then resume the run from its last checkpoint.";
  return error;
}

Status load_part(const fs::path& file, const OptimizerPart& part) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_ASSIGN(const auto saved, read_safetensors(file));
  for (const auto& [name, tensor] : part.tensors) {
    const auto found = saved.find(name);
    if (found == saved.end() || found->second.sizes() != tensor.sizes() || found->second.scalar_type() != at::kFloat)
      return data_error("the tensor " + name + " is missing or does not fit the model", file.string(),
                        "The checkpoint's files must be of one run.");
    at::Tensor(tensor).copy_(found->second);
  }
  return {};
}

}  // namespace

std::string optimizer_file(const OptimizerPart& part) { return "optimizer-" + part.name + ".safetensors"; }

int checkpoint_parts(const CheckpointSource& source) {
  constexpr int kModelAndState = 3;  // config.json, model.safetensors, state.json
  const int adapter = source.model.adapter() != nullptr ? 2 : 0;
  return kModelAndState + adapter +
         static_cast<int>(source.tokenizer.hf_files().size() + source.optimizer.state().size());
}

Status write_parts(const fs::path& folder, const CheckpointCopy& copy, const PartReport& report,
                   const std::function<bool()>& go_on) {
  std::vector<fs::path> written;
  const auto run = [&]() -> Status {
    for (const CheckpointCopy::File& file : copy.files()) {
      const fs::path path = folder / file.name;
      std::error_code ec;
      fs::create_directories(path.parent_path(), ec);
      if (ec) return run_error("the folder cannot be made: " + ec.message(), path.parent_path().string());
      PLUMBLINE_ASSIGN(std::string hash, write_file_hashed(path, file.bytes(), go_on));
      written.push_back(path);
      PLUMBLINE_TRY(report({file.name, file.bytes().size(), std::move(hash)}));
    }
    return {};
  };
  Status status = run();
  if (!status.has_error() || !go_on()) return status;  // What is given up may have been committed by now.
  std::error_code ignored;
  for (const fs::path& path : written) fs::remove(path, ignored);
  return explained(std::move(status).error(), folder);
}

Result<std::vector<WrittenPart>> write_checkpoint_parts(const fs::path& folder, int rank, int world,
                                                        const CheckpointSource& source, const CheckpointState& state) {
  CheckpointCopy copy;
  PLUMBLINE_TRY(copy.take(source, state, rank, world));
  std::vector<WrittenPart> parts;
  const auto keep = [&](const WrittenPart& part) -> Status {
    parts.push_back(part);
    return {};
  };
  PLUMBLINE_TRY(write_parts(folder, copy, keep, [] { return true; }));
  return parts;
}

Result<CheckpointState> read_checkpoint_state(const fs::path& folder) {
  PLUMBLINE_ASSIGN(const Json json, read_json_file(folder / kStateFile));
  return state_from_json(json, (folder / kStateFile).string());
}

Status check_resumable(const CheckpointState& saved, const CheckpointState& run, const fs::path& folder) {
  const std::string where = (folder / kStateFile).string();
  if (saved.tokenizer != run.tokenizer)
    return data_error(
        "the checkpoint was trained with the tokenizer " + saved.tokenizer + ", the dataset has " + run.tokenizer,
        where, "Resume with the dataset that the run began with, or start a new run.");
  if (saved.dataset_hash != run.dataset_hash)
    return data_error("the checkpoint was trained on another dataset (" + saved.dataset_hash.substr(0, 12) +
                          "…) than this one (" + run.dataset_hash.substr(0, 12) + "…)",
                      where,
                      "Resume with the dataset that the run began with, or start a new run with model.init set to the "
                      "checkpoint.");
  if (saved.seed != run.seed)
    return data_error("the checkpoint was trained with seed " + std::to_string(saved.seed) + ", the run has seed " +
                          std::to_string(run.seed),
                      where, "Set the seed back, or start a new run with model.init set to the checkpoint.");
  const auto shown = [](const std::string& hash) { return hash.empty() ? "none" : hash.substr(0, 12) + "…"; };
  if (saved.base_sha256 != run.base_sha256)
    return data_error("the checkpoint's adapter was trained beside another start model (" + shown(saved.base_sha256) +
                          ") than this run's (" + shown(run.base_sha256) + ")",
                      where,
                      "Put back the weights in model.init that the run began with, or start a new run with model.init "
                      "set to the checkpoint, whose weights have the adapter merged into them.");
  return {};
}

Status load_trained(const fs::path& folder, T5& model) {
  if (Adapter* adapter = model.adapter()) return load_adapter(*adapter, folder / kAdapterFolder);
  return load_weights(model, folder / kModelFile);
}

Status load_optimizer(const fs::path& folder, Optimizer& optimizer) {
  for (const OptimizerPart& part : optimizer.state()) PLUMBLINE_TRY(load_part(folder / optimizer_file(part), part));
  return {};
}

}  // namespace plumbline
