#include "coordinator/report/report.hpp"

#include <fmt/format.h>

#include <functional>

#include "common/config/run_config.hpp"
#include "common/core/clock.hpp"
#include "common/core/files.hpp"
#include "common/record/metrics.hpp"
#include "common/record/snapshot.hpp"
#include "coordinator/aggregate/desired_fall.hpp"
#include "coordinator/aggregate/judged.hpp"
#include "coordinator/aggregate/probe.hpp"
#include "coordinator/report/embedding.hpp"
#include "coordinator/report/events.hpp"
#include "coordinator/report/page.hpp"
#include "coordinator/report/samples.hpp"
#include "coordinator/report/series.hpp"
#include "coordinator/report/verdict.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// Gathers the page's data from a run directory part by part. A part that is absent or broken is named under "missing"
/// and the others are shown all the same.
class Gatherer {
 public:
  explicit Gatherer(const RunLayout& layout) : layout_(layout) {}

  Json gather() {
    data_["generated"] = utc_now();
    fs::path folder = fs::absolute(layout_.root()).lexically_normal();
    if (!folder.has_filename()) folder = folder.parent_path();  // the path was given with a slash at its end
    data_["folder"] = folder.filename().string();
    part("the configuration", layout_.config(), [&] { return config(); });
    part("training metrics", layout_.metrics(), [&] { return metrics(); });
    part("the journal", layout_.journal(), [&] { return journal(); });
    part("the final evaluation", layout_.summary(), [&] { return summary(); });
    part("judged outputs", judged_file(layout_), [&] { return samples(); });
    const auto newest = newest_snapshot(layout_);
    part("a snapshot of encoder vectors", newest.value_or(layout_.snapshots() / "*.h5"),
         [&] { return vectors(*newest); });
    data_["missing"] = missing_;
    return std::move(data_);
  }

 private:
  void part(const std::string& what, const fs::path& file, const std::function<Status()>& read) {
    std::error_code ignored;
    if (!fs::exists(file, ignored)) {
      missing_.push_back(
          {{"what", what}, {"why", file.lexically_relative(layout_.root()).string() + " is not there yet"}});
      return;
    }
    std::string why;
    try {
      const Status status = read();
      if (status.has_value()) return;
      why = to_string(status.error());
    } catch (const Json::exception& e) {
      why = file.filename().string() + " does not have the expected form: " + e.what();
    }
    missing_.push_back({{"what", what}, {"why", why}});
  }

  Status config() {
    PLUMBLINE_ASSIGN(const RunConfig config, load_run_config(layout_.config(), {}));
    const Json json = to_json(config);
    sizes_ = config.snapshot.sizes;
    data_["name"] = config.name;
    data_["steps_planned"] = config.train.steps;
    data_["workers"] = config.workers.count;
    data_["config"] = Json::array();
    flatten("", json);
    return {};
  }

  void flatten(const std::string& prefix, const Json& json) {
    for (const auto& [key, value] : json.items()) {
      const std::string path = prefix.empty() ? key : prefix + "." + key;
      if (value.is_object())
        flatten(path, value);
      else
        data_["config"].push_back(Json::array({path, value.is_string() ? value.get<std::string>() : dump_text(value)}));
    }
  }

  Status metrics() {
    PLUMBLINE_ASSIGN(const auto lines, read_metrics(layout_.metrics()));
    if (lines.empty()) return run_error("metrics.jsonl has no line yet");
    data_["training"] = training_series(lines);
    DesiredWatch watch;
    for (const Json& line : lines) watch.add(line);
    data_["warnings"] = Json::array();
    for (const DesiredFall& fall : watch.falls()) data_["warnings"].push_back(to_string(fall));
    return {};
  }

  Status journal() {
    PLUMBLINE_ASSIGN(const std::string text, read_file(layout_.journal()));
    data_["journal"] = journal_events(text);
    return {};
  }

  Status summary() {
    PLUMBLINE_ASSIGN(const Json json, read_json_file(layout_.summary()));
    for (const auto& [name, norm] : json.at("norms").items()) {
      std::vector<std::string> models = {"base", "rules", "aligned"};
      if (norm.is_object() && norm.contains("comparators"))
        for (const Json& model : norm.at("comparators")) models.push_back(model.get<std::string>());
      for (const std::string& model : models)
        if (!norm.is_object() || !norm.contains(model) || !norm.at(model).is_object())
          return data_error(fmt::format("the norm \"{}\" lacks its \"{}\"", name, model), layout_.summary().string());
    }
    Json sentences = Json::object();
    for (const auto& [name, norm] : json.at("norms").items()) sentences[name] = norm_verdict(name, norm);
    data_["verdict"] = run_verdict(json);
    data_["sentences"] = std::move(sentences);
    data_["summary"] = json;
    return {};
  }

  Status samples() {
    PLUMBLINE_ASSIGN(const Judged judged, read_judged(layout_));
    Json norms = Json::array();
    for (const Norm& norm : judged.norms) {
      norm_names_.push_back(norm.name);
      norms.push_back(to_json(norm));
    }
    data_["norms"] = std::move(norms);
    PLUMBLINE_ASSIGN(data_["samples"], sample_outputs(judged));
    return {};
  }

  Status vectors(const fs::path& file) {
    PLUMBLINE_ASSIGN(const Snapshot snapshot, read_snapshot(file));
    data_["embedding"] = embedding(snapshot, norm_names_);
    const bool known = data_.contains("summary") && data_["summary"].contains("probe");
    data_["probe"] = known ? data_["summary"]["probe"] : probe_snapshot(snapshot, sizes_);
    return {};
  }

  const RunLayout& layout_;
  Json data_ = Json::object(), missing_ = Json::array();
  std::vector<std::string> norm_names_;
  std::vector<int> sizes_ = SnapshotConfig{}.sizes;
};

}  // namespace

Status write_report(const RunLayout& layout) {
  std::error_code ignored;
  if (!fs::is_directory(layout.root(), ignored))
    return usage_error("there is no run directory here", layout.root().string(),
                       "name a folder that `plumbline train` made");
  if (!fs::exists(layout.config(), ignored) && !fs::exists(layout.journal(), ignored))
    return usage_error("this folder holds no run: neither config.yaml nor journal.jsonl is there",
                       layout.root().string(), "name a folder that `plumbline train` made");
  const Json data = Gatherer(layout).gather();
  return write_file_atomically(layout.report(),
                               render_page(data.value("name", data.at("folder").get<std::string>()), data));
}

}  // namespace plumbline
