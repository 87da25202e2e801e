#include "common/core/json.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "common/core/unique_keys.hpp"

namespace plumbline {

namespace {

constexpr int kMaxNesting = 64;
constexpr std::uint64_t kMaxFileBytes = 256u << 20;

/// Whether arrays and objects nest deeper than we accept. Looked at before the library sees the text, so that nothing
/// deep is ever built. Text that is not JSON may be misjudged; it is refused either way.
bool nests_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxNesting) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

/// "[json.exception.…] parse error at line 1, column 9: syntax error … - invalid literal; last read: '…'" without the
/// library's name, and without the part that quotes the text, which may be long or not even UTF-8.
std::string reason_of(const std::exception& e, bool one_line) {
  std::string reason = e.what();
  if (const auto end = reason.find("] "); reason.starts_with('[') && end != std::string::npos) reason.erase(0, end + 2);
  if (const auto quote = reason.find("; last read"); quote != std::string::npos) reason.erase(quote);
  if (const auto line = reason.find("line 1, "); one_line && line != std::string::npos)
    reason.erase(line, std::string_view("line 1, ").size());
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return reason;
}

constexpr std::size_t kMostKeyBytes = 200;

/// Sees a text's objects and keys as the library reads them.
class KeyWatch {
 public:
  bool operator()(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event != Json::parse_event_t::key || repeated_) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    if (!keys_.back().insert(key).second) repeated_ = key;
    return true;
  }
  /// The first key that stood twice in its object.
  [[nodiscard]] const std::optional<std::string>& repeated() const { return repeated_; }

 private:
  std::vector<std::set<std::string>> keys_;  ///< of the objects that are open
  std::optional<std::string> repeated_;
};

Result<Json> parse(std::string_view text, const std::string& where, const Json::parser_callback_t& callback) {
  if (nests_too_deep(text))
    return data_error("JSON nested deeper than " + std::to_string(kMaxNesting) + " levels", where);
  try {
    return Result<Json>(boost::system::in_place_value, Json::parse(text.begin(), text.end(), callback));
  } catch (const std::exception& e) {
    const std::string reason = reason_of(e, text.find('\n') == std::string_view::npos);
    if (reason.find("UTF-8") != std::string::npos)
      return data_error("the text is not valid UTF-8 (" + reason + ")", where, "Save the file as UTF-8.");
    return data_error("broken JSON: " + reason, where);
  }
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& where) { return parse(text, where, nullptr); }

Result<Json> parse_json_of_unique_keys(std::string_view text, const std::string& where) {
  KeyWatch watch;
  PLUMBLINE_ASSIGN(Json json, parse(text, where, [&watch](int /*depth*/, Json::parse_event_t event, Json& parsed) {
                     return watch(event, parsed);
                   }));
  if (!watch.repeated()) return Result<Json>(boost::system::in_place_value, std::move(json));
  std::string key = *watch.repeated();
  if (key.size() > kMostKeyBytes) key = key.substr(0, kMostKeyBytes) + "...";
  return data_error("the key " + to_line(key) + " stands twice in one object", where,
                    "Keep one of the two: which of their values is meant cannot be known.");
}

Result<Json> read_json_file(const std::filesystem::path& path) {
  PLUMBLINE_ASSIGN(const std::string text, read_file(path, kMaxFileBytes));
  return parse_json(text, path.string());
}

std::string to_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace plumbline
