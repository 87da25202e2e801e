#include "coordinator/journal/model_folder.hpp"

#include "common/config/weight_files.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {

namespace fs = std::filesystem;

Result<fs::path> model_folder(const fs::path& given) {
  std::error_code ec;
  const RunLayout layout(given);
  if (!fs::exists(layout.journal(), ec)) {
    if (has_weights(given)) return fs::absolute(given, ec);
    return usage_error("this is neither a run directory nor a folder with a model", given.string(),
                       "Name a run, one of its checkpoints, or a folder with config.json and model.safetensors.");
  }
  PLUMBLINE_ASSIGN(const auto entries, read_journal(layout.journal()));
  const RunRecord record = replay(entries);
  if (!record.checkpoint)
    return usage_error("the run has no committed checkpoint yet", given.string(), "Wait for its first checkpoint.");
  return fs::absolute(layout.checkpoint(record.checkpoint->step), ec);
}

}  // namespace plumbline
