// Lines of JSON: {"source": …, "desired": …, "undesired": …, "weight": 2, "group": "…", "attributes": {"length": 3}}.
// Other keys are ignored; null counts as absent.
#pragma once
#include "common/core/json.hpp"
#include "coordinator/curate/importer.hpp"

namespace plumbline {

class JsonlImporter final : public Importer {
 public:
  explicit JsonlImporter(JsonlFormat format) : format_(std::move(format)) {}
  Status read(LineReader& lines, ImportSink& sink) const override;

 private:
  [[nodiscard]] Result<Imported> parse(const Json& row, const std::string& where) const;
  JsonlFormat format_;
};

/// The next line that is not blank, as an object; nothing at the end of the file.
Result<std::optional<Json>> next_json_object(LineReader& lines);
/// The text under `key`; nothing when the key is empty, absent or null; a data error when it is something else.
Result<std::optional<std::string>> text_member(const Json& row, const std::string& key, const std::string& where);
/// "It has the keys a, b." for a row in which an expected key is missing.
std::string keys_hint(const Json& row);
/// An example's weight: above 0 and at most a million.
Result<float> check_weight(double weight, const std::string& where);

}  // namespace plumbline
