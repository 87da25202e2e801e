// Where the model of a command's MODEL lies.
#pragma once
#include <filesystem>

#include "common/core/result.hpp"

namespace plumbline {

/// The folder with config.json and model.safetensors, absolute: that of a run directory's newest committed checkpoint,
/// or `given` itself. Usage errors: it is neither, or the run has no checkpoint yet.
Result<std::filesystem::path> model_folder(const std::filesystem::path& given);

}  // namespace plumbline
