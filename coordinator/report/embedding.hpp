// The newest snapshot in two dimensions, for the scatter chart.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/record/run_layout.hpp"
#include "common/record/snapshot.hpp"

namespace plumbline {

inline constexpr std::size_t kMostEmbeddingRows = 2000;

/// The whole snapshot of the highest step; nothing when there is none.
std::optional<std::filesystem::path> newest_snapshot(const RunLayout& layout);

/// First two principal components: {"step", "rows", "shown", "explained": [share, share], "points": [[x, y], …],
/// "norms": [name, …], "attributes": {NAME: [number or null, …]}}. Rows that are not finite are left out; of many rows
/// every k-th is shown. `norm_names` by norm index.
Json embedding(const Snapshot& snapshot, const std::vector<std::string>& norm_names);

}  // namespace plumbline
