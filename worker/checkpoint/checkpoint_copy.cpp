#include "worker/checkpoint/checkpoint_copy.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "common/config/adapter_config.hpp"
#include "worker/checkpoint/checkpoint.hpp"
#include "worker/model/model_parts.hpp"
#include "worker/model/safetensors_image.hpp"

namespace plumbline {

namespace {

/// One file: tensors, or text.
struct Part {
  std::string file;
  std::vector<NamedTensor> tensors;
  std::string text = {};
};

std::string in_adapter_folder(const char* file) { return std::string(kAdapterFolder) + "/" + file; }

/// Rank 0 has the model, its adapter, the tokenizer's files and state.json; rank 1 + i (mod world) the optimizer's part
/// i.
std::vector<Part> parts_of(const CheckpointSource& source, const CheckpointState& state, int rank, int world) {
  std::vector<Part> parts;
  if (rank == 0) {
    parts.push_back({kModelConfigFile, {}, model_config_text(source.model)});
    parts.push_back({kModelFile, model_tensors(source.model)});
    if (const Adapter* adapter = source.model.adapter()) {
      parts.push_back({in_adapter_folder(kAdapterConfigFile), {}, adapter_config_text(*adapter)});
      parts.push_back({in_adapter_folder(kAdapterFile), adapter_tensors(*adapter)});
    }
    for (auto& [name, content] : source.tokenizer.hf_files()) parts.push_back({name, {}, std::move(content)});
    parts.push_back({kStateFile, {}, to_json(state).dump(2) + "\n"});
  }
  int writer = 0;
  for (OptimizerPart& part : source.optimizer.state())
    if (rank == ++writer % world) parts.push_back({optimizer_file(part), std::move(part.tensors)});
  return parts;
}

}  // namespace

std::string_view CheckpointCopy::File::bytes() const {
  if (!image.defined()) return text;
  return {static_cast<const char*>(image.const_data_ptr()), image.nbytes()};
}

Result<at::Tensor> CheckpointCopy::room_for(const std::string& file, std::uint64_t bytes, bool pinned) {
  at::Tensor& image = images_[file];
  if (image.defined() && image.nbytes() == bytes) return image;
  image.reset();
  try {
    image = at::empty({static_cast<std::int64_t>(bytes)}, at::TensorOptions(at::kByte).pinned_memory(pinned));
  } catch (const std::exception&) {  // c10's out-of-memory error
    return environment_error("no memory for a copy of " + std::to_string(bytes) + " bytes of the checkpoint", file,
                             "A worker holds its parts of a checkpoint while they are written. More workers share "
                             "them; with optimizer.name: adafactor they are smaller.");
  }
  untouched_.push_back(image);
  return image;
}

Status CheckpointCopy::reserve(const CheckpointSource& source, int rank, int world) {
  files_.clear();
  const bool pinned = !source.model.parameters().flat().is_cpu();
  std::set<std::string> mine;
  for (const Part& part : parts_of(source, {}, rank, world)) {
    if (part.tensors.empty()) continue;
    mine.insert(part.file);
    PLUMBLINE_ASSIGN(const SafetensorsLayout layout, layout_safetensors(part.file, part.tensors));
    PLUMBLINE_TRY(room_for(part.file, layout.bytes, pinned));
  }
  std::erase_if(images_, [&](const auto& image) { return !mine.contains(image.first); });
  return {};
}

void CheckpointCopy::touch(const std::function<bool()>& go_on) {
  constexpr std::size_t kBlockBytes = 1u << 24;
  for (const at::Tensor& image : std::exchange(untouched_, {})) {
    auto* bytes = static_cast<char*>(image.mutable_data_ptr());
    for (std::size_t at = 0; at < image.nbytes() && go_on(); at += kBlockBytes)
      std::memset(bytes + at, 0, std::min(kBlockBytes, image.nbytes() - at));
  }
}

Status CheckpointCopy::take(const CheckpointSource& source, const CheckpointState& state, int rank, int world) {
  files_.clear();
  const bool pinned = !source.model.parameters().flat().is_cpu();
  for (Part& part : parts_of(source, state, rank, world)) {
    if (part.tensors.empty()) {
      files_.push_back({part.file, std::move(part.text), {}});
      continue;
    }
    PLUMBLINE_ASSIGN(const SafetensorsLayout layout, layout_safetensors(part.file, part.tensors));
    PLUMBLINE_ASSIGN(const at::Tensor image, room_for(part.file, layout.bytes, pinned));
    fill_safetensors(layout, part.tensors, image.mutable_data_ptr());
    files_.push_back({part.file, {}, image});
  }
  untouched_.clear();
  return {};
}

}  // namespace plumbline
