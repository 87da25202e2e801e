#include "coordinator/curate/jsonl_importer.hpp"

#include <cmath>
#include <utility>

#include "common/core/unique_keys.hpp"
#include "common/data/example.hpp"

namespace plumbline {

namespace {

constexpr double kMaxWeight = 1e6;
constexpr std::size_t kMaxAttributes = 64;

bool is_blank_line(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

std::string quote(const std::string& key) { return "\"" + key + "\""; }

Status read_attributes(const Json& row, const std::string& key, const std::string& where,
                       std::map<std::string, float>& attributes) {
  if (key.empty() || !row.contains(key) || row[key].is_null()) return {};
  const Json& object = row[key];
  if (!object.is_object()) return data_error(quote(key) + " must be an object of numbers", where);
  if (object.size() > kMaxAttributes)
    return data_error(quote(key) + " holds more than " + std::to_string(kMaxAttributes) + " numbers", where);
  for (const auto& [name, value] : object.items()) {
    if (value.is_null()) continue;
    if (!plain_attribute_name(name))
      return data_error(quote(key) + ": a name must be 1 to 200 bytes without a slash", where);
    if (!value.is_number() || !std::isfinite(value.get<float>()))
      return data_error(quote(key) + ": " + quote(name) + " must be a number", where);
    attributes[name] = value.get<float>();
  }
  return {};
}

}  // namespace

Result<std::optional<Json>> next_json_object(LineReader& lines) {
  while (true) {
    PLUMBLINE_ASSIGN(const auto line, lines.next());
    if (!line) return std::optional<Json>();
    if (is_blank_line(*line)) continue;
    PLUMBLINE_ASSIGN(Json row, parse_json_of_unique_keys(*line, lines.where()));
    if (!row.is_object())
      return data_error("the line must hold a JSON object, {…}", lines.where(), "Write one object a line.");
    return std::make_optional(std::move(row));
  }
}

Result<std::optional<std::string>> text_member(const Json& row, const std::string& key, const std::string& where) {
  if (key.empty() || !row.contains(key) || row[key].is_null()) return std::optional<std::string>();
  if (!row[key].is_string()) return data_error(quote(key) + " must be a text", where);
  return std::optional<std::string>(row[key].get<std::string>());
}

std::string keys_hint(const Json& row) {
  std::string keys;
  for (const auto& [key, value] : row.items()) {
    if (keys.size() > 200) {
      keys += ", …";
      break;
    }
    keys += (keys.empty() ? "" : ", ") + key;
  }
  return keys.empty() ? "The line has no keys." : "The line has the keys " + keys + ".";
}

Result<float> check_weight(double weight, const std::string& where) {
  if (!(weight > 0) || weight > kMaxWeight) return data_error("the weight must be above 0 and at most 1000000", where);
  return static_cast<float>(weight);
}

Status JsonlImporter::read(LineReader& lines, ImportSink& sink) const {
  while (true) {
    PLUMBLINE_ASSIGN(const std::optional<Json> row, next_json_object(lines));
    if (!row) return {};
    PLUMBLINE_ASSIGN(Imported example, parse(*row, lines.where()));
    example.line = lines.line();
    PLUMBLINE_TRY(sink.take(std::move(example)));
  }
}

Result<Imported> JsonlImporter::parse(const Json& row, const std::string& where) const {
  Imported example;
  PLUMBLINE_ASSIGN(auto source, text_member(row, format_.source, where));
  if (!source)
    return data_error("the key " + quote(format_.source) + " is missing", where,
                      keys_hint(row) + " fields: in the recipe says which key is which.");
  example.source = std::move(*source);
  PLUMBLINE_ASSIGN(example.desired, text_member(row, format_.desired, where));
  PLUMBLINE_ASSIGN(example.undesired, text_member(row, format_.undesired, where));
  if (!example.desired && !example.undesired)
    return data_error("the line has no output: neither " + quote(format_.desired) + " nor " + quote(format_.undesired),
                      where, keys_hint(row) + " fields: in the recipe says which key is which.");
  if (!format_.weight.empty() && row.contains(format_.weight) && !row[format_.weight].is_null()) {
    if (!row[format_.weight].is_number()) return data_error(quote(format_.weight) + " must be a number", where);
    PLUMBLINE_ASSIGN(example.weight, check_weight(row[format_.weight].get<double>(), where));
  }
  PLUMBLINE_ASSIGN(auto group, text_member(row, format_.group, where));
  if (group) example.group = std::move(*group);
  PLUMBLINE_TRY(read_attributes(row, format_.attributes, where, example.attributes));
  return example;
}

}  // namespace plumbline
