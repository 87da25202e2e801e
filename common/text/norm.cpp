// A norm as JSON (dataset.json), and what follows from a norm without a judge: the fallback and the score.
#include "common/text/norm.hpp"

#include <algorithm>
#include <cmath>

#include "common/config/yaml_reader.hpp"  // nearest_name, join_choices
#include "common/core/check.hpp"
#include "common/text/alignment.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMaxListLength = 100'000;
constexpr std::size_t kMaxTextBytes = 1u << 16;
constexpr int kMaxCharacters = 1 << 30;
constexpr std::string_view kTextFallback = "text:";

const char* name_of(JudgeKind judge) { return judge == JudgeKind::kRules ? "rules" : "classifier"; }
const char* name_of(ScoreKind score) { return score == ScoreKind::kChrf ? "chrf" : "column"; }

/// Typed, bounded reads from one JSON object. Keys that are left out keep their defaults; the first error stays.
class ObjectReader {
 public:
  ObjectReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("not a JSON object");
  }

  void text(const char* key, std::string& out) {
    if (const Json* value = find(key)) {
      if (!value->is_string()) return fail(key, "must be text");
      out = value->get<std::string>();
      if (out.size() > kMaxTextBytes) fail(key, "is longer than 64 KiB");
    }
  }
  void texts(const char* key, std::vector<std::string>& out) {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_array() || value->size() > kMaxListLength) return fail(key, "must be a list of texts");
    for (const Json& item : *value) {
      if (!item.is_string() || item.get_ref<const std::string&>().size() > kMaxTextBytes)
        return fail(key, "must be a list of texts, each at most 64 KiB");
      out.push_back(item.get<std::string>());
    }
  }
  void number(const char* key, double& out, double least, double most) {
    if (const Json* value = find(key)) {
      if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
        return fail(key, "must be a number between " + Json(least).dump() + " and " + Json(most).dump());
      out = value->get<double>();
    }
  }
  void count(const char* key, std::optional<int>& out) {
    if (const Json* value = find(key)) {
      if (!value->is_number_integer() || value->get<double>() < 0 || value->get<double>() > kMaxCharacters)
        return fail(key, "must be a whole number of at least 0");
      out = value->get<int>();
    }
  }
  void flag(const char* key, bool& out) {
    if (const Json* value = find(key)) {
      if (!value->is_boolean()) return fail(key, "must be true or false");
      out = value->get<bool>();
    }
  }
  template <class Enum>
  void choice(const char* key, Enum& out, std::initializer_list<Enum> choices, const char* (*name)(Enum)) {
    const Json* value = find(key);
    if (value == nullptr) return;
    std::vector<std::string> names;
    for (const Enum candidate : choices) {
      names.emplace_back(name(candidate));
      if (*value == names.back()) {
        out = candidate;
        return;
      }
    }
    fail(key, "must be " + join_choices(names));
  }
  const Json* find(const char* key) {
    known_.emplace_back(key);
    if (!status_) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void require(const char* key) {
    if (status_ && !object_.contains(key)) fail("the key \"" + std::string(key) + "\" is missing");
  }
  /// The first error, also when a key is there that was not asked for.
  Status finish() {
    if (!status_) return status_;
    for (const auto& [key, value] : object_.items())
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        const auto near = nearest_name(key, known_);
        return data_error("unknown key " + quoted_extract(key), where_,
                          near ? "Did you mean " + *near + "?" : "Known: " + join_choices(known_) + ".");
      }
    return {};
  }

 private:
  void fail(const char* key, const std::string& message) { fail("the key \"" + std::string(key) + "\" " + message); }
  void fail(std::string message) {
    if (status_) status_ = data_error(std::move(message), where_);
  }

  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
  Status status_;
};

Json rules_to_json(const RuleSet& rules) {
  Json json = {{"forbidden_words", rules.forbidden_words},
               {"forbidden_patterns", rules.forbidden_patterns},
               {"required_patterns", rules.required_patterns},
               {"not_a_copy", rules.not_a_copy},
               {"alignment", rules.alignment}};
  if (rules.min_characters) json["min_characters"] = *rules.min_characters;
  if (rules.max_characters) json["max_characters"] = *rules.max_characters;
  if (rules.alignment) {
    json["source_encoding"] = rules.source_encoding;
    json["target_encoding"] = rules.target_encoding;
    if (rules.no_staggered_gaps) json["no_staggered_gaps"] = true;
  }
  return json;
}

Result<RuleSet> rules_from_json(const Json& json, const std::string& where) {
  RuleSet rules;
  ObjectReader reader(json, where);
  reader.texts("forbidden_words", rules.forbidden_words);
  reader.texts("forbidden_patterns", rules.forbidden_patterns);
  reader.texts("required_patterns", rules.required_patterns);
  reader.count("min_characters", rules.min_characters);
  reader.count("max_characters", rules.max_characters);
  reader.flag("not_a_copy", rules.not_a_copy);
  reader.flag("alignment", rules.alignment);
  reader.flag("no_staggered_gaps", rules.no_staggered_gaps);
  reader.text("source_encoding", rules.source_encoding);
  reader.text("target_encoding", rules.target_encoding);
  PLUMBLINE_TRY(reader.finish());
  if (rules.min_characters && rules.max_characters && *rules.min_characters > *rules.max_characters)
    return data_error("min_characters is more than max_characters", where);
  if (rules.no_staggered_gaps && !rules.alignment)
    return data_error("the rule no_staggered_gaps needs the rule alignment", where);
  if (auto known = make_source_encoding(rules.source_encoding); !known)
    return data_error(known.error().message, where, known.error().hint);
  if (auto known = make_target_encoding(rules.target_encoding); !known)
    return data_error(known.error().message, where, known.error().hint);
  return rules;
}

/// A file of the dataset folder itself: dataset.json must not lead a reader elsewhere.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

Status check_parts(const Norm& norm, const std::string& where) {
  if (norm.name.empty() || norm.name.size() > 128) return data_error("a norm's name has 1 to 128 bytes", where);
  if (norm.judge == JudgeKind::kClassifier && !is_plain_file_name(norm.classifier_file))
    return data_error("classifier_file must name a file in the dataset folder", where);
  if (norm.fallback != "source" && norm.fallback != "left_justified" && !norm.fallback.starts_with(kTextFallback))
    return data_error("the fallback " + quoted_extract(norm.fallback) + " is not known", where,
                      "Known: source, left_justified, or text: followed by the answer.");
  if (norm.fallback == "left_justified" && !norm.rules.alignment)
    return data_error("the fallback left_justified needs the rule alignment", where);
  if (norm.score == ScoreKind::kColumn && !norm.rules.alignment)
    return data_error("the score column needs the rule alignment", where);
  return {};
}

struct Encodings {
  std::unique_ptr<SourceEncoding> source;
  std::unique_ptr<TargetEncoding> target;
};
/// The encodings of a norm that has been checked.
Encodings encodings_of(const RuleSet& rules) {
  auto source = make_source_encoding(rules.source_encoding);
  auto target = make_target_encoding(rules.target_encoding);
  PLUMBLINE_CHECK(source && target, "a norm with an unknown encoding was not refused when it was read");
  return {std::move(source).value(), std::move(target).value()};
}

}  // namespace

Json to_json(const Norm& norm) {
  Json json = {{"name", norm.name},         {"description", norm.description}, {"objective", to_string(norm.objective)},
               {"weight", norm.weight},     {"judge", name_of(norm.judge)},    {"rules", rules_to_json(norm.rules)},
               {"fallback", norm.fallback}, {"score", name_of(norm.score)}};
  if (norm.judge == JudgeKind::kClassifier) {
    json["classifier_file"] = norm.classifier_file;
    json["classifier_accuracy"] = norm.classifier_accuracy;
  }
  return json;
}

Result<Norm> norm_from_json(const Json& json, const std::string& where) {
  Norm norm;
  ObjectReader reader(json, where);
  reader.require("name");
  reader.text("name", norm.name);
  const std::string here = norm.name.empty() ? where : where + ": norm " + norm.name;
  reader.text("description", norm.description);
  reader.require("objective");
  std::string objective;
  reader.text("objective", objective);
  reader.number("weight", norm.weight, 0, 1e6);
  reader.choice("judge", norm.judge, {JudgeKind::kRules, JudgeKind::kClassifier}, name_of);
  const Json* rules = reader.find("rules");
  reader.text("classifier_file", norm.classifier_file);
  reader.number("classifier_accuracy", norm.classifier_accuracy, 0, 1);
  reader.text("fallback", norm.fallback);
  reader.choice("score", norm.score, {ScoreKind::kChrf, ScoreKind::kColumn}, name_of);
  PLUMBLINE_TRY(reader.finish());
  if (auto parsed = parse_objective(objective, here)) {
    norm.objective = *parsed;
  } else {
    return data_error(parsed.error().message, here, parsed.error().hint);
  }
  if (rules != nullptr) {
    PLUMBLINE_ASSIGN(norm.rules, rules_from_json(*rules, here + ": rules"));
  }
  PLUMBLINE_TRY(check_parts(norm, here));
  return norm;
}

std::string fallback_output(const Norm& norm, std::string_view source) {
  if (norm.fallback.starts_with(kTextFallback)) return norm.fallback.substr(kTextFallback.size());
  if (norm.fallback == "left_justified") {
    const Encodings encodings = encodings_of(norm.rules);
    return encodings.target->encode(left_justified(encodings.source->decode(source)));
  }
  return std::string(source);
}

double desired_score(const Norm& norm, std::string_view source, std::string_view output, std::string_view desired) {
  if (norm.score == ScoreKind::kChrf) return chrf(output, desired);
  const Encodings encodings = encodings_of(norm.rules);
  const Rows sequences = encodings.source->decode(source);
  const auto candidate = encodings.target->decode(output, sequences.size());
  const auto truth = encodings.target->decode(desired, sequences.size());
  if (!candidate || !truth || ungapped(*candidate) != sequences) return 0;
  return column_score(*candidate, *truth);
}

}  // namespace plumbline
