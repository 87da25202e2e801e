// ModelConfig <-> config.json of HF Transformers' T5ForConditionalGeneration; also from MT5ForConditionalGeneration's.
#include <algorithm>
#include <array>

#include "common/config/run_config.hpp"
#include "common/config/run_config_keys.hpp"
#include "common/core/check.hpp"

namespace plumbline {

namespace {

class HfWriter {
 public:
  explicit HfWriter(Json& json) : json_(json) {}
  template <class T, class Rule>
  void key(const char* name, T& value, const Rule&, const char*) {
    json_[name] = value;
  }

 private:
  Json& json_;
};

/// Reads the architecture's keys that are there; a wrong type or a value out of bounds is a data error.
class HfReader {
 public:
  HfReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  template <class T, class Rule>
  void key(const char* name, T& value, const Rule& rule, const char*) {
    const auto found = json_.find(name);
    if (!status_ || found == json_.end() || found->is_null()) return;
    status_ = set(name, *found, value, rule);
  }
  [[nodiscard]] Status status() const { return status_; }

 private:
  [[nodiscard]] Error wrong(const char* name, const std::string& expected, const Json& got) const {
    return data_error("the key " + std::string(name) + " must be " + expected + ", not " +
                          got.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60),
                      where_);
  }
  Status set(const char* name, const Json& json, int& value, const Bounds& bounds) const {
    // Compared as a double first: the integer may be larger than an int.
    if (!json.is_number_integer() || !bounds.hold(json.get<double>()))
      return wrong(name, "a whole number " + bounds.to_string(), json);
    value = json.get<int>();
    return {};
  }
  Status set(const char* name, const Json& json, double& value, const Bounds& bounds) const {
    if (!json.is_number() || !bounds.hold(json.get<double>()))
      return wrong(name, "a number " + bounds.to_string(), json);
    value = json.get<double>();
    return {};
  }
  Status set(const char* name, const Json& json, bool& value, const TrueOrFalse&) const {
    if (!json.is_boolean()) return wrong(name, "true or false", json);
    value = json.get<bool>();
    return {};
  }
  Status set(const char* name, const Json& json, std::string& value, const Choices& choices) const {
    for (const std::string& choice : choices.names)
      if (json == choice) {
        value = choice;
        return {};
      }
    return wrong(name, join_choices(choices.names) + " (what Plumbline computes)", json);
  }

  const Json& json_;
  std::string where_;
  Status status_;
};

struct FeedForwardName {
  const char* name;
  FeedForward kind;
  const char* act;  ///< HF's dense_act_fn
};
constexpr std::array<FeedForwardName, 8> kFeedForwards{{{"gated-gelu", {Activation::kGeluNew, true}, "gelu_new"},
                                                        {"gated-gelu_new", {Activation::kGeluNew, true}, "gelu_new"},
                                                        {"gated-relu", {Activation::kRelu, true}, "relu"},
                                                        {"gated-silu", {Activation::kSilu, true}, "silu"},
                                                        {"relu", {Activation::kRelu, false}, "relu"},
                                                        {"gelu", {Activation::kGelu, false}, "gelu"},
                                                        {"gelu_new", {Activation::kGeluNew, false}, "gelu_new"},
                                                        {"silu", {Activation::kSilu, false}, "silu"}}};

const FeedForwardName& feed_forward_named(const std::string& name) {
  const auto* found =
      std::find_if(kFeedForwards.begin(), kFeedForwards.end(), [&](const auto& known) { return name == known.name; });
  PLUMBLINE_CHECK(found != kFeedForwards.end(), "no feed-forward layer is called " + name);
  return *found;
}

bool is_mt5(const Json& config) { return config.contains("model_type") && config.at("model_type") == "mt5"; }

/// What Plumbline computes whatever the architecture, and what follows from it.
Json fixed_keys(const ModelConfig& model) {
  const FeedForwardName& feed_forward = feed_forward_named(model.feed_forward_proj);
  return {{"is_encoder_decoder", true},
          {"is_decoder", false},
          {"decoder_start_token_id", 0},
          {"pad_token_id", 0},
          {"eos_token_id", 1},
          {"is_gated_act", feed_forward.kind.gated},
          {"dense_act_fn", feed_forward.act}};
}

/// What Transformers takes a key for that config.json does not have.
ModelConfig hf_defaults(const Json& config) {
  ModelConfig model;
  model.dropout_rate = 0.1;
  model.layer_norm_epsilon = 1e-6;
  model.feed_forward_proj = is_mt5(config) ? "gated-gelu" : "relu";
  model.relative_attention_num_buckets = 32;
  model.relative_attention_max_distance = 128;
  model.tie_word_embeddings = true;
  return model;
}

/// Whether the last decoder states reach the head as they are. An mT5's always do; a T5's do when config.json unties
/// the head (to Transformers 4) or says so (Transformers 5, which writes "tie_word_embeddings": true whatever it ties).
bool head_is_unscaled(const Json& config, const ModelConfig& read) {
  const auto scale = config.find("scale_decoder_outputs");
  return is_mt5(config) || !read.tie_word_embeddings || (scale != config.end() && *scale == false);
}

Status check_computed(const Json& config, const ModelConfig& model, const std::string& where) {
  const auto refuse = [&](const std::string& key, const std::string& expected) {
    return data_error("the key " + key + " must be " + expected + " for Plumbline to compute this model, not " +
                          config.at(key).dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60),
                      where);
  };
  const Json fixed = fixed_keys(model);
  for (const auto& [key, value] : fixed.items())
    if (config.contains(key) && !config.at(key).is_null() && config.at(key) != value) return refuse(key, value.dump());
  if (!config.contains("model_type"))
    return data_error("the key model_type is missing", where, "Only T5 and mT5 models are read.");
  if (config.at("model_type") != "t5" && !is_mt5(config)) return refuse("model_type", "\"t5\" or \"mt5\"");
  if (config.contains("scale_decoder_outputs") && config.at("scale_decoder_outputs") == true &&
      !model.tie_word_embeddings)
    return refuse("scale_decoder_outputs", "false for an mT5, and when tie_word_embeddings is");
  if (config.contains("quantization_config")) return refuse("quantization_config", "left out");
  if (const auto found = config.find("architectures"); found != config.end() && found->is_array() && !found->empty()) {
    const std::string name = is_mt5(config) ? "MT5ForConditionalGeneration" : "T5ForConditionalGeneration";
    if (std::find(found->begin(), found->end(), name) == found->end())
      return refuse("architectures", "[\"" + name + "\"]");
  }
  return {};
}

}  // namespace

std::vector<std::string> feed_forward_names() {
  std::vector<std::string> names;
  for (const auto& known : kFeedForwards) names.emplace_back(known.name);
  return names;
}

FeedForward feed_forward_of(const std::string& name) { return feed_forward_named(name).kind; }

bool head_may_be_shared(const Json& config) {
  const auto tied = config.find("tie_word_embeddings");
  return tied == config.end() || *tied != false;
}

Json to_hf_config(const ModelConfig& model) {
  Json json = fixed_keys(model);
  json["model_type"] = "t5";
  json["architectures"] = {"T5ForConditionalGeneration"};
  json["initializer_factor"] = 1.0;
  json["use_cache"] = true;
  json["scale_decoder_outputs"] = model.tie_word_embeddings;
  ModelConfig copy = model;
  HfWriter writer(json);
  describe_architecture(writer, copy);
  return json;
}

Result<ModelConfig> from_hf_config(const Json& config, const std::string& where) {
  if (!config.is_object())
    return data_error("not a JSON object", where, "It must be the config.json of a T5 or mT5 model.");
  for (const char* key : {"vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"})
    if (!config.contains(key)) return data_error("the key " + std::string(key) + " is missing", where);
  ModelConfig model = hf_defaults(config);
  HfReader reader(config, where);
  describe_architecture(reader, model);
  PLUMBLINE_TRY(reader.status());
  if (!config.contains("num_decoder_layers") || config.at("num_decoder_layers").is_null())
    model.num_decoder_layers = model.num_layers;
  model.tie_word_embeddings = !head_is_unscaled(config, model);
  PLUMBLINE_TRY(check_computed(config, model, where));
  if (const auto wrong = wrong_buckets(model)) return data_error(*wrong, where);
  return model;
}

}  // namespace plumbline
