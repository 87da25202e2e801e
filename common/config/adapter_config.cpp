#include "common/config/adapter_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "common/config/yaml_reader.hpp"

namespace plumbline {

namespace {

constexpr const char* kOfPeft = "Plumbline reads plain LoRA adapters of peft: lora_A and lora_B beside projections.";

/// Keys with which peft computes something other than x W^T + alpha/rank (x A^T) B^T on every target, when they are
/// set.
constexpr std::array<const char*, 20> kUnsupported = {"alora_invocation_tokens",
                                                      "alpha_pattern",
                                                      "arrow_config",
                                                      "exclude_modules",
                                                      "fan_in_fan_out",
                                                      "kasa_config",
                                                      "layer_replication",
                                                      "layers_to_transform",
                                                      "lora_bias",
                                                      "modules_to_save",
                                                      "monteclora_config",
                                                      "rank_pattern",
                                                      "target_parameters",
                                                      "trainable_token_indices",
                                                      "use_bdlora",
                                                      "use_dora",
                                                      "use_qalora",
                                                      "use_rslora",
                                                      "velora_config",
                                                      "layers_pattern"};

/// Not given, or as good as.
bool is_unset(const Json& json) {
  return json.is_null() || json == false || ((json.is_object() || json.is_array()) && json.empty());
}

Error refused(const std::string& key, const Json& value, const std::string& where) {
  return data_error("the key " + key + " is " + to_line(value).substr(0, 60) + ", which Plumbline does not compute",
                    where, kOfPeft);
}

Result<std::vector<std::string>> targets_of(const Json& config, const std::string& where) {
  const auto found = config.find("target_modules");
  if (found == config.end() || !found->is_array() || found->empty())
    return data_error("the key target_modules is not a list of names", where, kOfPeft);
  std::set<std::string> given;
  for (const Json& target : *found) {
    if (!target.is_string()) return refused("target_modules", target, where);
    given.insert(target.get<std::string>());
  }
  std::vector<std::string> targets;
  for (const std::string& name : lora_target_names())
    if (given.erase(name) > 0) targets.push_back(name);
  if (!given.empty()) return refused("target_modules", *given.begin(), where);
  return targets;
}

/// Some of peft's initialisations change the model's own weights, which the adapter alone does not say.
bool leaves_the_model(const Json& init_lora_weights) {
  if (!init_lora_weights.is_string()) return true;
  const auto name = init_lora_weights.get<std::string>();
  return name == "gaussian" || name == "orthogonal" || name == "eva";
}

std::string in_yaml(const LoraConfig& lora) {
  std::string targets;
  for (const std::string& target : lora.targets) targets += (targets.empty() ? "" : ", ") + target;
  return "rank: " + std::to_string(lora.rank) + ", alpha: " + Json(lora.alpha).dump() + ", targets: [" + targets + "]";
}

}  // namespace

Json to_peft_config(const LoraConfig& lora) {
  Json json{{"peft_type", "LORA"},
            {"task_type", "SEQ_2_SEQ_LM"},
            {"base_model_name_or_path", nullptr},
            {"inference_mode", true},
            {"r", lora.rank},
            {"lora_alpha", lora.alpha},
            {"lora_dropout", lora.dropout},
            {"target_modules", lora.targets},
            {"bias", "none"},
            {"fan_in_fan_out", false},
            {"init_lora_weights", true},
            {"modules_to_save", nullptr},
            {"use_rslora", false},
            {"use_dora", false}};
  if (std::trunc(lora.alpha) == lora.alpha)  // peft's type for it
    json["lora_alpha"] = static_cast<std::int64_t>(lora.alpha);
  return json;
}

Result<LoraConfig> from_peft_config(const Json& config, const std::string& where) {
  LoraConfig lora;
  PLUMBLINE_ASSIGN(const auto type, json_get<std::string>(config, "peft_type", where));
  if (type != "LORA") return refused("peft_type", type, where);
  for (const char* key : kUnsupported)
    if (config.contains(key) && !is_unset(config.at(key))) return refused(key, config.at(key), where);
  if (config.contains("bias") && config.at("bias") != "none") return refused("bias", config.at("bias"), where);
  if (config.contains("init_lora_weights") && !leaves_the_model(config.at("init_lora_weights")))
    return refused("init_lora_weights", config.at("init_lora_weights"), where);
  PLUMBLINE_ASSIGN(lora.rank, json_get<int>(config, "r", where));
  PLUMBLINE_ASSIGN(lora.alpha, json_get<double>(config, "lora_alpha", where));
  PLUMBLINE_ASSIGN(lora.dropout, json_get<double>(config, "lora_dropout", where));
  if (lora.rank < 1 || lora.rank > kMaxLoraRank) return refused("r", lora.rank, where);
  if (!(lora.alpha > 0 && lora.alpha <= kMaxLoraAlpha)) return refused("lora_alpha", lora.alpha, where);
  if (!(lora.dropout >= 0 && lora.dropout < 1)) return refused("lora_dropout", lora.dropout, where);
  PLUMBLINE_ASSIGN(lora.targets, targets_of(config, where));
  return lora;
}

Status check_adapter(const LoraConfig& lora, const std::filesystem::path& folder) {
  const auto file = folder / kAdapterConfigFile;
  PLUMBLINE_ASSIGN(const Json json, read_json_file(file));
  PLUMBLINE_ASSIGN(const LoraConfig saved, from_peft_config(json, file.string()));
  const auto as_set = [](const LoraConfig& c) { return std::set<std::string>(c.targets.begin(), c.targets.end()); };
  if (saved.rank == lora.rank && saved.alpha == lora.alpha && as_set(saved) == as_set(lora)) return {};
  return usage_error(
      "the adapter in " + folder.string() + " has " + in_yaml(saved) + ", the configuration " + in_yaml(lora), "lora",
      "Set them to the adapter's: " + in_yaml(saved) + ".");
}

Status check_targets(const LoraConfig& lora, const ModelConfig& model) {
  const bool gated = feed_forward_of(model.feed_forward_proj).gated;
  for (const std::string& target : lora.targets)
    if (target == "wi" ? gated : (target == "wi_0" || target == "wi_1") && !gated)
      return usage_error("the model has no projection " + target, "lora.targets",
                         std::string("Its feed-forward layers have ") +
                             (gated ? "wi_0, wi_1 and wo: they are gated." : "wi and wo: they are not gated."));
  return {};
}

}  // namespace plumbline
