// YAML -> RunConfig: read, override, check.
#include "common/config/run_config.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <set>

#include "common/config/run_config_keys.hpp"
#include "common/config/yaml_reader.hpp"

namespace plumbline {

namespace {

/// Fills structs from a map; stops at the first error.
class Reader {
 public:
  template <class Struct>
  static Status read(const YamlNode& node, Struct& out) {
    PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(node));
    Reader reader(std::move(map));
    describe(reader, out);
    PLUMBLINE_TRY(reader.status_);
    return reader.map_.finish();
  }

  template <class T, class Rule>
  void key(const char* name, T& value, const Rule& rule, const char*) {
    if (status_) status_ = read_value(name, value, rule);
  }
  template <class Struct>
  void section(const char* name, Struct& value, const char*) {
    const YamlNode* node = map_.find(name);
    if (status_ && node != nullptr && !node->is_null()) status_ = read(*node, value);
  }
  template <class Struct>
  void sections(const char* name, std::map<std::string, Struct>& values, const char*) {
    const YamlNode* node = map_.find(name);
    if (!status_ || node == nullptr || node->is_null()) return;
    if (!node->is_map()) status_ = node->wrong_type("a map");
    for (const auto& [member, child] : node->members()) {
      Struct& value = values[member];
      if (status_ && !child.is_null()) status_ = read(child, value);
    }
  }

  void texts(const char* name, std::map<std::string, std::string>& values, const char*) {
    const YamlNode* node = map_.find(name);
    if (!status_ || node == nullptr || node->is_null()) return;
    if (!node->is_map()) status_ = node->wrong_type("a map");
    for (const auto& [member, child] : node->members())
      if (status_) status_ = read_text(child, values[member]);
  }

 private:
  static Status read_text(const YamlNode& node, std::string& value) {
    PLUMBLINE_ASSIGN(value, node.as<std::string>());
    if (value.empty()) return node.error("is empty");
    return {};
  }
  explicit Reader(YamlMap map) : map_(std::move(map)) {}

  template <class T>
  Status read_value(const char* name, T& value, const Bounds& bounds) {
    return map_.read(name, value, bounds);
  }
  Status read_value(const char* name, std::optional<double>& value, const BoundsOr& rule) {
    return map_.read(name, value, rule.bounds);
  }
  Status read_value(const char* name, std::string& value, const AnyText&) {
    PLUMBLINE_TRY(map_.read(name, value));
    const YamlNode* node = map_.find(name);
    if (node != nullptr && value.empty()) return node->error("is empty");
    return {};
  }
  Status read_value(const char* name, bool& value, const TrueOrFalse&) { return map_.read(name, value); }
  Status read_value(const char* name, std::string& value, const Choices& choices) {
    return map_.read_choice(name, value, choices.names);
  }
  Status read_value(const char* name, std::vector<std::string>& values, const Choices& choices) {
    PLUMBLINE_TRY(map_.read(name, values));
    const YamlNode* node = map_.find(name);
    for (std::size_t i = 0; i < values.size() && node != nullptr; ++i)
      if (std::find(choices.names.begin(), choices.names.end(), values[i]) == choices.names.end())
        return node->items()[i].wrong_type(join_choices(choices.names));
    return {};
  }
  Status read_value(const char* name, std::optional<Objective>& value, const Choices& choices) {
    std::string text;
    PLUMBLINE_TRY(map_.read_choice(name, text, choices.names));
    if (!text.empty()) {
      PLUMBLINE_ASSIGN(value, parse_objective(text, map_.node().where()));
    }
    return {};
  }

  YamlMap map_;
  Status status_;
};

/// A checkpoint's architecture is its own: keys beside a path in `model.init` would be silently ignored.
Status check_init_alone(const YamlNode& root) {
  const YamlNode* model = root.find("model");
  const YamlNode* init = model == nullptr ? nullptr : model->find("init");
  if (init == nullptr || !init->is_scalar() || init->text() == kRandomInit) return {};
  for (const auto& [key, node] : model->members())
    if (key != "init")
      return node.error("is given beside model.init, whose config.json already says it",
                        "Remove the other keys of model, or on the command line replace the whole map: "
                        "--set 'model={init: FOLDER}'.");
  return {};
}

bool is_ip_address(const std::string& text) {
  in_addr v4{};
  in6_addr v6{};
  return inet_pton(AF_INET, text.c_str(), &v4) == 1 || inet_pton(AF_INET6, text.c_str(), &v6) == 1;
}

constexpr Objective kObjectives[] = {Objective::kSft, Objective::kUnlikelihood, Objective::kDpo, Objective::kIpo,
                                     Objective::kKto, Objective::kOrpo,         Objective::kCpo, Objective::kSimpo};

/// What else stands beside a comparator's name in summary.json, or is one of the run's own comparators.
constexpr const char* kTakenNames[] = {"base",        "rules",       "aligned",        "base_constrained",
                                       "judge",       "difference",  "differences",    "aligned_constrained",
                                       "description", "comparators", "judge_accuracy", "preference_accuracy"};

/// Why a comparator cannot have this name; nothing when it can.
std::optional<std::string> wrong_name(const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), is_plain))
    return "must be 1 to 64 letters, digits, \"_\" and \"-\"";
  for (const char* taken : kTakenNames)
    if (name == taken) return "is a name that the summary has for something else";
  return std::nullopt;
}

std::string number(std::int64_t value) { return std::to_string(value); }

Status check_lora(const LoraConfig& lora, const std::string& where) {
  const std::set<std::string> targets(lora.targets.begin(), lora.targets.end());
  if (targets.empty() || targets.size() != lora.targets.size())
    return usage_error("lora.targets must be at least one projection, each given once", where,
                       "For example lora: {rank: 8, targets: [q, v]}.");
  if (lora.rank == 0 && lora.init != kRandomInit)
    return usage_error(
        "lora.init is given and lora.rank is 0, which is to have no adapters", where,
        "Set lora.rank, lora.alpha and lora.targets to the adapter's; its adapter_config.json has them.");
  return {};
}

Result<RunConfig> read_run_config(YamlNode root, const std::string& where, const std::vector<Override>& overrides) {
  for (const Override& item : overrides) {
    const std::string option = "--set " + item.key;
    PLUMBLINE_ASSIGN(const YamlNode value, parse_yaml(item.value, option, item.key));
    if (value.is_null()) return usage_error("no value is given", option, "Write it as --set " + item.key + "=VALUE.");
    PLUMBLINE_ASSIGN(root, root.with(item.key, value));
  }
  PLUMBLINE_TRY(check_init_alone(root));
  RunConfig config;
  if (!root.is_null()) PLUMBLINE_TRY(Reader::read(root, config));
  PLUMBLINE_TRY(check_run_config(config, where));
  return config;
}

}  // namespace

Result<RunConfig> parse_run_config(const std::string& yaml, const std::string& where,
                                   const std::vector<Override>& overrides) {
  PLUMBLINE_ASSIGN(YamlNode root, parse_yaml(yaml, where));
  return read_run_config(std::move(root), where, overrides);
}

Result<RunConfig> load_run_config(const std::filesystem::path& file, const std::vector<Override>& overrides) {
  PLUMBLINE_ASSIGN(YamlNode root, load_yaml(file));
  return read_run_config(std::move(root), file.string(), overrides);
}

Status check_run_config(const RunConfig& config, const std::string& where) {
  const auto wrong = [&](const std::string& message, const std::string& hint) {
    return usage_error(message, where, hint);
  };
  const TrainConfig& train = config.train;
  if (config.data.empty())
    return wrong("the key data is missing",
                 "Name the folder that `plumbline curate` made: data: FOLDER, or --data FOLDER.");
  if (train.lanes > train.global_batch)
    return wrong("train.lanes is " + number(train.lanes) + " and train.global_batch only " + number(train.global_batch),
                 "Every lane needs an example: at most as many lanes as examples in a batch.");
  if (config.workers.count > train.lanes)
    return wrong("workers.count is " + number(config.workers.count) + " and train.lanes only " + number(train.lanes),
                 "A worker holds at least one lane: take fewer workers, or more lanes (which makes another run).");
  if (config.workers.min > config.workers.count)
    return wrong(
        "workers.min is " + number(config.workers.min) + " and workers.count only " + number(config.workers.count),
        "Training would wait for workers that nobody starts.");
  if (config.model.init == kRandomInit)
    if (const auto message = wrong_buckets(config.model)) return wrong("model." + *message, "");
  PLUMBLINE_TRY(check_lora(config.lora, where));
  for (const auto& [name, run] : config.compare)
    if (const auto message = wrong_name(name))
      return wrong("compare: the name " + quoted_extract(name) + " " + *message,
                   "For example compare: {continued: runs/continued}.");
  const std::vector<int>& sizes = config.snapshot.sizes;
  if (sizes.empty() || std::set<int>(sizes.begin(), sizes.end()).size() != sizes.size())
    return wrong("snapshot.sizes must be at least one size, each given once", "For example sizes: [32, 8, 2, 1].");
  if (config.evaluate.patience > 0 && (config.evaluate.every == 0 || config.evaluate.judged == 0))
    return wrong("evaluate.patience needs evaluate.every and evaluate.judged, which measure the undesirable rate",
                 "For example evaluate: {every: 50, judged: 100, patience: 2}.");
  if (config.checkpoint.keep_best > 0 && config.evaluate.every == 0)
    return wrong("checkpoint.keep_best needs evaluate.every, which measures on held-out examples while training",
                 "For example evaluate: {every: 100}, with checkpoint.every: 100.");
  if (!is_ip_address(config.control.bind))
    return wrong("control.bind is " + quoted_extract(config.control.bind) + ", not an IP address",
                 "For example 127.0.0.1 for this machine alone, or 0.0.0.0 for all of its addresses.");
  if (config.control.worker_timeout_ms != 0 && config.control.worker_timeout_ms <= config.control.heartbeat_ms)
    return wrong("control.worker_timeout_ms must be more than control.heartbeat_ms",
                 "A worker that is well is silent for as long as a heartbeat takes.");
  return {};
}

std::chrono::milliseconds worker_timeout(const ControlConfig& control, bool elastic) {
  if (control.worker_timeout_ms > 0) return std::chrono::milliseconds(control.worker_timeout_ms);
  return std::chrono::milliseconds(std::max(elastic ? 4'000 : 60'000, 4 * control.heartbeat_ms));
}

std::vector<std::string> lora_target_names() { return {"q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"}; }

std::vector<std::string> objective_names() {
  std::vector<std::string> names;
  for (const Objective objective : kObjectives) names.push_back(to_string(objective));
  return names;
}

Result<Objective> parse_objective(const std::string& name, const std::string& where) {
  for (const Objective objective : kObjectives)
    if (to_string(objective) == name) return objective;
  return usage_error("the objective " + quoted_extract(name) + " is not known", where,
                     "Known: " + join_choices(objective_names()) + ".");
}

std::string to_string(Objective objective) {
  switch (objective) {
    case Objective::kSft:
      return "sft";
    case Objective::kUnlikelihood:
      return "unlikelihood";
    case Objective::kDpo:
      return "dpo";
    case Objective::kIpo:
      return "ipo";
    case Objective::kKto:
      return "kto";
    case Objective::kOrpo:
      return "orpo";
    case Objective::kCpo:
      return "cpo";
    case Objective::kSimpo:
      return "simpo";
  }
  return {};
}

double beta1_of(const OptimizerConfig& optimizer) {
  return optimizer.beta1.value_or(optimizer.name == "adafactor" ? 0.0 : 0.9);
}

double default_beta(Objective objective) { return objective == Objective::kSimpo ? 2.0 : 0.1; }

}  // namespace plumbline
