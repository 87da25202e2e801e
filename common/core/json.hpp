// JSON at the edges: parse and typed reads that return an Error naming the file and the key instead of throwing.
#pragma once
#include <concepts>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "common/core/files.hpp"
#include "common/core/result.hpp"

namespace plumbline {
using Json = nlohmann::json;

/// `where` names the source in the error ("data.jsonl:7"). Nesting is bounded at 64 levels; bad UTF-8 is an error.
Result<Json> parse_json(std::string_view text, const std::string& where);
Result<Json> read_json_file(const std::filesystem::path& path);

/// `json` on one line. Never throws: bytes that are not UTF-8 become U+FFFD, a number that is not finite becomes null.
std::string to_line(const Json& json);

/// Whether `json` is a T as it stands. The library would cut 1.5 to 1 and wrap 70000 into 16 bits; we refuse both.
template <class T>
bool json_holds(const Json& json) {
  if constexpr (std::same_as<T, bool>) {
    return json.is_boolean();
  } else if constexpr (std::integral<T>) {
    if (json.is_number_unsigned()) return std::in_range<T>(json.get<std::uint64_t>());
    return json.is_number_integer() && std::in_range<T>(json.get<std::int64_t>());
  } else if constexpr (std::floating_point<T>) {
    return json.is_number();
  } else {
    return true;  // the library's own conversion checks the rest
  }
}

/// The member `key` of `object` as a T; a missing key or another type is a data error at "`where`: key `key`".
template <class T>
Result<T> json_get(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key))
    return data_error(std::string("the key \"") + key + "\" is missing", where);
  const Json& member = object.at(key);
  if (!json_holds<T>(member))
    return data_error(std::string("the key \"") + key + "\" has the wrong type or is out of range", where);
  try {
    return Result<T>(boost::system::in_place_value, member.get<T>());
  } catch (const std::exception& e) {
    return data_error(std::string("the key \"") + key + "\" has the wrong type: " + e.what(), where);
  }
}
}  // namespace plumbline
