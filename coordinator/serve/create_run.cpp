// A new run's directory. Everything is checked first; then it is made beside its place and renamed into it.
#include <unistd.h>

#include <algorithm>

#include "common/config/adapter_config.hpp"
#include "common/config/weight_files.hpp"
#include "common/core/files.hpp"
#include "common/data/dataset.hpp"
#include "common/data/plan.hpp"
#include "common/data/used_sides.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "coordinator/aggregate/compared.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/serve/disk.hpp"
#include "coordinator/serve/listener.hpp"
#include "coordinator/serve/run.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

Status check_place(const RunLayout& layout) {
  std::error_code ec;
  const fs::path& root = layout.root();
  if (fs::exists(layout.journal(), ec))
    return usage_error("this directory holds a run already", root.string(),
                       "Go on with it: plumbline resume " + root.string() + ". Or name another directory with --run.");
  if (!fs::exists(root, ec)) return {};
  if (fs::is_directory(root, ec) && fs::is_empty(root, ec)) return {};
  return usage_error("the run's directory exists and is not empty", root.string(), "Name another one with --run.");
}

Status check_norms(const RunConfig& config, const DatasetInfo& info) {
  for (const auto& [name, training] : config.norms) {
    const bool known =
        std::any_of(info.norms.begin(), info.norms.end(), [&](const Norm& norm) { return norm.name == name; });
    if (known) continue;
    std::string names;
    for (const Norm& norm : info.norms) names += (names.empty() ? "" : ", ") + norm.name;
    return usage_error("the dataset has no norm \"" + name + "\"", "norms." + name, "Its norms are: " + names + ".");
  }
  return {};
}

/// Early stopping needs examples that the report is not about.
Status check_judged(const RunConfig& config, const Dataset& dataset) {
  const EvaluateConfig& evaluate = config.evaluate;
  if (evaluate.judged == 0) return {};
  const auto& norms = dataset.info().norms;
  std::vector<bool> judged(norms.size(), false);
  for (const std::int64_t row :
       held_out_rows(dataset.held_out(), norms.size(), evaluate.judged, config.seed, evaluate.generations))
    judged[dataset.held_out().norm(row)] = true;
  for (std::size_t n = 0; n < norms.size(); ++n)
    if (!judged[n])
      return usage_error("the norm \"" + norms[n].name + "\" has no held-out example beyond the " +
                             std::to_string(evaluate.generations) + " that the report is about",
                         "evaluate.judged", "Lower evaluate.generations, hold out more examples, or set it to 0.");
  return {};
}

/// The architecture that the run starts from. A folder's files are checked as far as they vouch for themselves.
Result<ModelConfig> start_architecture(const ModelConfig& model) {
  if (model.init == "random") return model;
  const fs::path folder = model.init;
  std::error_code ec;
  if (!fs::is_regular_file(folder / "config.json", ec))
    return data_error("the start model's file is missing", (folder / "config.json").string(),
                      "Set model.init to a checkpoint folder, or to random.");
  PLUMBLINE_TRY(weight_files(folder));
  if (fs::exists(folder / "MANIFEST.json", ec)) PLUMBLINE_TRY(verify_checkpoint(folder));
  PLUMBLINE_ASSIGN(const Json json, read_json_file(folder / "config.json"));
  return from_hf_config(json, (folder / "config.json").string());
}

Status check_lora(const LoraConfig& lora, const ModelConfig& model) {
  if (lora.rank == 0) return {};
  PLUMBLINE_TRY(check_targets(lora, model));
  if (lora.init != "random") PLUMBLINE_TRY(check_adapter(lora, lora.init));
  return {};
}

Status check_model(const RunConfig& config, const DatasetInfo& info) {
  PLUMBLINE_ASSIGN(const ModelConfig model, start_architecture(config.model));
  PLUMBLINE_TRY(check_lora(config.lora, model));
  if (model.vocab_size >= info.vocab_size) return {};
  return usage_error("the model's vocabulary of " + std::to_string(model.vocab_size) +
                         " is smaller than the dataset's of " + std::to_string(info.vocab_size),
                     "model.vocab_size", "Set it to the dataset's, or start from another model.");
}

fs::path absolute(const std::string& path) {
  std::error_code ec;
  const fs::path whole = fs::absolute(path, ec);
  return ec ? fs::path(path) : whole.lexically_normal();
}

RunConfig resolved(RunConfig config) {
  config.data = absolute(config.data).string();
  if (config.model.init != "random") config.model.init = absolute(config.model.init).string();
  if (config.lora.init != "random") config.lora.init = absolute(config.lora.init).string();
  for (auto& [name, run] : config.compare) run = absolute(run).string();
  return config;
}

Status fill(const RunLayout& layout, const RunConfig& config, const Dataset& dataset) {
  PLUMBLINE_TRY(make_folder(layout.logs()));
  PLUMBLINE_TRY(write_file_atomically(layout.config(), to_yaml(config)));
  PLUMBLINE_TRY(write_secret(layout));
  PLUMBLINE_ASSIGN(Journal journal, Journal::open(layout));
  return journal.append("run_created", {{"name", config.name},
                                        {"seed", config.seed},
                                        {"dataset", config.data},
                                        {"dataset_hash", dataset.content_hash()},
                                        {"version", PLUMBLINE_VERSION}});
}

}  // namespace

Status create_run(const RunLayout& layout, const RunConfig& given) {
  PLUMBLINE_TRY(check_place(layout));
  const RunConfig config = resolved(given);
  PLUMBLINE_ASSIGN(const auto launcher, make_launcher(config, config.workers.count, layout));
  PLUMBLINE_TRY(launcher->check());
  PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(config.data, Verify::kHashes));
  PLUMBLINE_TRY(check_norms(config, dataset.info()));
  PLUMBLINE_TRY(Plan::make(config.train, config.seed, dataset.train(), objectives_of(config, dataset.info())));
  PLUMBLINE_TRY(check_model(config, dataset.info()));
  PLUMBLINE_TRY(check_judges(dataset.info().norms, dataset.folder().string()));
  PLUMBLINE_TRY(check_judged(config, dataset));
  PLUMBLINE_TRY(check_compared(config, dataset));
  PLUMBLINE_TRY(check_listener(config.control));

  const fs::path root = absolute(layout.root().string());
  const fs::path place = root.has_filename() ? root : root.parent_path();  // "runs/one/" names runs/one
  const RunLayout beside(place.parent_path() /
                         ("." + place.filename().string() + "." + to_hex(random_bytes(4)) + ".new"));
  PLUMBLINE_TRY(make_folder(place.parent_path()));
  Status made = fill(beside, config, dataset);
  if (made.has_value()) made = move_folder(beside.root(), place);
  if (made.has_error()) remove_folder(beside.root());
  return made;
}

}  // namespace plumbline
