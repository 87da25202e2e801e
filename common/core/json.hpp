// JSON at the edges: parse and typed reads that return an Error naming the file and the key instead of throwing.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/core/files.hpp"
#include "common/core/result.hpp"

namespace plumbline {
using Json = nlohmann::json;

/// `where` names the source in the error ("data.jsonl:7"). Nesting is bounded at 64 levels; bad UTF-8 is an error.
Result<Json> parse_json(std::string_view text, const std::string& where);
Result<Json> read_json_file(const std::filesystem::path& path);

/// The member `key` of `object` as a T; a missing key or another type is a data error at "`where`: key `key`".
template <class T>
Result<T> json_get(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key))
    return data_error(std::string("the key \"") + key + "\" is missing", where);
  try {
    return object.at(key).get<T>();
  } catch (const std::exception& e) {
    return data_error(std::string("the key \"") + key + "\" has the wrong type: " + e.what(), where);
  }
}
}  // namespace plumbline
