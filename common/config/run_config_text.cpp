// RunConfig -> YAML, JSON and the reference page, all from describe().
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/config/run_config.hpp"
#include "common/config/run_config_keys.hpp"

namespace plumbline {

namespace {

std::string in_json(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Plain where no YAML reader can take it for anything but text, else in double quotes (JSON's are YAML's).
std::string yaml_scalar(const std::string& text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '/';
  };
  const bool starts_plain = !text.empty() && is_plain(text[0]) && (text[0] < '0' || text[0] > '9') && text[0] != '-' &&
                            (text[0] != '.' || text.starts_with("./") || text.starts_with("../"));
  std::string lower = text;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const char* word : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
    if (lower == word) return in_json(text);
  return starts_plain && std::all_of(text.begin(), text.end(), is_plain) ? text : in_json(text);
}

/// The shortest digits that read back to the same number, with the point that YAML 1.1 readers want before an exponent.
std::string yaml_scalar(double value) {
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  const std::size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
  return text;
}
std::string yaml_scalar(bool value) { return value ? "true" : "false"; }
std::string yaml_scalar(Objective value) { return to_string(value); }
std::string yaml_scalar(int value) { return std::to_string(value); }
std::string yaml_scalar(std::int64_t value) { return std::to_string(value); }
std::string yaml_scalar(std::uint64_t value) { return std::to_string(value); }
template <class T>
std::string yaml_scalar(const std::vector<T>& values) {
  std::string text = "[";
  for (std::size_t i = 0; i < values.size(); ++i) text += (i == 0 ? "" : ", ") + yaml_scalar(values[i]);
  return text + "]";
}

// Visitors take what they only read by reference too, since describe() is shared with the reader.

class YamlWriter {
 public:
  template <class T, class Rule>
  void key(const char* name, T& value, const Rule&, const char*) {
    line(name, yaml_scalar(value));
  }
  template <class T, class Rule>
  void key(const char* name, std::optional<T>& value, const Rule&, const char*) {
    if (value) line(name, yaml_scalar(*value));
  }
  template <class Struct>
  void section(const std::string& name, Struct& value, const char*) {
    line(name, "");
    ++depth_;
    describe(*this, value);
    --depth_;
  }
  template <class Struct>
  void sections(const char* name, std::map<std::string, Struct>& values, const char* meaning) {
    if (values.empty()) return;
    line(name, "");
    ++depth_;
    for (auto& [member, value] : values) section(yaml_scalar(member), value, meaning);
    --depth_;
  }
  void texts(const char* name, std::map<std::string, std::string>& values, const char*) {
    if (values.empty()) return;
    line(name, "");
    ++depth_;
    for (const auto& [member, value] : values) line(yaml_scalar(member), yaml_scalar(value));
    --depth_;
  }
  std::string text;

 private:
  void line(const std::string& name, const std::string& value) {
    text += fmt::format("{:{}}{}:{}{}\n", "", 2 * depth_, name, value.empty() ? "" : " ", value);
  }
  std::size_t depth_ = 0;
};

class JsonWriter {
 public:
  template <class T, class Rule>
  void key(const char* name, T& value, const Rule&, const char*) {
    json[name] = value;
  }
  template <class T, class Rule>
  void key(const char* name, std::optional<T>& value, const Rule&, const char*) {
    if (value) json[name] = *value;
  }
  template <class Rule>
  void key(const char* name, std::optional<Objective>& value, const Rule&, const char*) {
    if (value) json[name] = to_string(*value);
  }
  template <class Struct>
  void section(const std::string& name, Struct& value, const char*) {
    JsonWriter writer;
    describe(writer, value);
    json[name] = std::move(writer.json);
  }
  template <class Struct>
  void sections(const char* name, std::map<std::string, Struct>& values, const char* meaning) {
    JsonWriter writer;
    for (auto& [member, value] : values) writer.section(member, value, meaning);
    json[name] = std::move(writer.json);
  }
  void texts(const char* name, std::map<std::string, std::string>& values, const char*) { json[name] = values; }
  Json json = Json::object();
};

/// The tables of docs/configuration.md.
class ReferenceWriter {
 public:
  template <class T, class Rule>
  void key(const char* name, T& value, const Rule& rule, const char* meaning) {
    const std::string fallback = yaml_scalar(value);
    row(name, kind(value), allowed(rule), fallback == "\"\"" ? "must be given" : fmt::format("`{}`", fallback),
        meaning);
  }
  template <class T, class Rule>
  void key(const char* name, std::optional<T>&, const Rule& rule, const char* meaning) {
    row(name, kind(T{}), allowed(rule), "the dataset's", meaning);
  }
  void key(const char* name, std::optional<double>&, const BoundsOr& rule, const char* meaning) {
    row(name, kind(0.0), allowed(rule.bounds), rule.fallback, meaning);
  }
  template <class Struct>
  void section(const std::string& name, Struct& value, const char* meaning) {
    ReferenceWriter writer(prefix_ + name + ".");
    writer.later_ = fmt::format("\n## `{}{}`\n\n{}\n{}", prefix_, name, meaning, kTableHead);
    describe(writer, value);
    later_ += writer.later_ + writer.table_;
  }
  template <class Struct>
  void sections(const char* name, std::map<std::string, Struct>&, const char* meaning) {
    Struct defaults;
    section(std::string(name) + ".NAME", defaults, meaning);
  }

  void texts(const char* name, std::map<std::string, std::string>&, const char* meaning) {
    row(std::string(name) + ".NAME", "text", "", "none", meaning);
  }

  explicit ReferenceWriter(std::string prefix = "") : prefix_(std::move(prefix)) {}
  [[nodiscard]] std::string page() const { return kTableHead + table_ + later_; }

 private:
  static inline const std::string kTableHead =
      "\n| key | type | allowed | default | meaning |\n|---|---|---|---|---|\n";

  static std::string kind(const std::string&) { return "text"; }
  static std::string kind(double) { return "number"; }
  static std::string kind(bool) { return "true or false"; }
  static std::string kind(Objective) { return "text"; }
  static std::string kind(const std::vector<int>&) { return "list of whole numbers"; }
  static std::string kind(const std::vector<std::string>&) { return "list of texts"; }
  static std::string kind(int) { return "whole number"; }
  static std::string kind(std::int64_t) { return "whole number"; }
  static std::string kind(std::uint64_t) { return "whole number"; }
  static std::string allowed(const Bounds& bounds) { return bounds.to_string(); }
  static std::string allowed(const AnyText&) { return ""; }
  static std::string allowed(const TrueOrFalse&) { return ""; }
  static std::string allowed(const Choices& choices) { return join_choices(choices.names); }

  void row(const std::string& name, const std::string& type, const std::string& allowed, const std::string& fallback,
           const std::string& meaning) {
    table_ += fmt::format("| `{}{}` | {} | {} | {} | {} |\n", prefix_, name, type, allowed, fallback, meaning);
  }

  std::string prefix_, table_, later_;
};

}  // namespace

std::string to_yaml(const RunConfig& config) {
  RunConfig copy = config;
  YamlWriter writer;
  describe(writer, copy);
  return writer.text;
}

Json to_json(const RunConfig& config) {
  RunConfig copy = config;
  JsonWriter writer;
  describe(writer, copy);
  return std::move(writer.json);
}

std::string configuration_reference() {
  RunConfig defaults;
  ReferenceWriter writer;
  describe(writer, defaults);
  return R"(# Configuration of a run

<!-- Made from the definitions in common/config/run_config_keys.hpp; a test compares this page with them. -->

`plumbline train CONFIG` reads one YAML file. A key that is left out has the default below; only `data` must be given. An
unknown key, a value of another type and a value out of bounds are errors that name the file, the line and the key. The
file is plain data: anchors, aliases, tags and duplicate keys are refused.

`--set key=value` (repeatable; `train`, `resume` and `quickstart`) sets one key over the file. The key is the dotted one
of the tables, the value is YAML, and a map replaces the whole map:

    plumbline train configs/paradetox.yaml --set train.steps=500 --set 'snapshot.sizes=[16, 4, 1]'
    plumbline train configs/paradetox.yaml --set 'model={init: runs/base/checkpoints/step-00000900}'

A run keeps its resolved configuration, every key written out, in `config.yaml`; `plumbline resume` reads that.
`configs/` holds configurations that work as they stand.
)" + writer.page() +
         R"(
## What must agree

- `train.lanes` is at most `train.global_batch`, and `workers.count` at most `train.lanes`.
- `workers.min` is at most `workers.count`.
- `lora.init` goes with `lora.rank`, and `lora.rank`, `lora.alpha` and `lora.targets` are those of its `adapter_config.json`.
- `evaluate.patience` goes with `evaluate.every` and `evaluate.judged`.
- `checkpoint.keep_best` goes with `evaluate.every`; a checkpoint is measured when both come at its step.
- `control.worker_timeout_ms` is 0, or more than `control.heartbeat_ms`.

## What changes the weights

For one dataset and one kind of machine, everything but `name`, `compare`, `evaluate.every`,
`evaluate.examples`, `evaluate.generations`, `evaluate.max_new_tokens`, `checkpoint`, `snapshot`, `workers.count`,
`workers.min`, `workers.spares`, `workers.launcher`, `workers.peak_gflops`, `workers.max_restarts` and `control` may change the weights that a run ends with. Those named do not change a bit of them,
unless `evaluate.patience` is set: then what is measured, and when, decides where the run ends.
)";
}

}  // namespace plumbline
