// Folders of a run directory: made, moved and removed with errors that say what is wrong, a full disk above all.
#pragma once
#include <filesystem>

#include "common/core/result.hpp"

namespace plumbline {

/// With its parents; one that is there is fine.
Status make_folder(const std::filesystem::path& folder);
/// Renames `from` to `to`, which must be absent or empty, and makes that last.
Status move_folder(const std::filesystem::path& from, const std::filesystem::path& to);
/// As far as it goes: what is left over does no harm.
void remove_folder(const std::filesystem::path& folder);

}  // namespace plumbline
