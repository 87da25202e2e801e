// adapter_config.json of a LoRA adapter, as peft writes and reads it. Errors are data errors that name the file and the
// key, or usage errors that name the configuration's key. May be called from any thread.
#pragma once
#include <filesystem>
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

/// Inside a checkpoint's folder. Beside config.json Transformers would take an adapter for the model.
inline constexpr const char* kAdapterFolder = "adapter";
inline constexpr const char* kAdapterConfigFile = "adapter_config.json";
inline constexpr const char* kAdapterFile = "adapter_model.safetensors";

/// peft's file for this adapter, without a path of the model that it belongs to: equal adapters have equal files.
Json to_peft_config(const LoraConfig& lora);
/// rank, alpha, dropout and targets. Refused is what Plumbline does not compute (DoRA, ranks by pattern, …), by key.
Result<LoraConfig> from_peft_config(const Json& config, const std::string& where);

/// Whether the adapter in `folder` is of the shape that `lora` asks for: rank, alpha and targets, not dropout.
Status check_adapter(const LoraConfig& lora, const std::filesystem::path& folder);
/// A usage error for a target that no projection of the model has.
Status check_targets(const LoraConfig& lora, const ModelConfig& model);

}  // namespace plumbline
