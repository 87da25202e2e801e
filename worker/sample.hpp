// A share of a sampling task (common/data/sampling.hpp): what the model writes for the training sources of a dataset,
// several times each, appended to a file of JSON lines. A process of its own, without a coordinator.
#pragma once
#include <filesystem>

#include "common/core/result.hpp"
#include "common/data/sampling.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

/// Batches `index`, `index` + `count`, … of the task.
struct SamplingShare {
  int index = 0, count = 1;
};

/// "1/4": the second of four. A usage error when it is no such thing.
Result<SamplingShare> parse_share(const std::string& text);

/// Goes on behind the whole lines that `out` holds already; a line that was cut is removed. Lines come batch by batch,
/// in the order of the batches. Errors: data (dataset, model, lines of other rows), run (the file cannot be written).
Status sample(const SamplingTask& task, SamplingShare share, const std::filesystem::path& out, at::Device device);

}  // namespace plumbline
