#include "common/record/json_lines.hpp"

namespace plumbline {

namespace {
constexpr std::size_t kMaxLineBytes = 16u << 20;
}  // namespace

Status for_each_json_line(std::string_view text, const std::string& name, LastLine last_line, const TakeLine& take) {
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string where = name + ":" + std::to_string(++number);
    const std::size_t length = rest.find('\n');
    if (length == std::string_view::npos) {
      if (last_line == LastLine::kMayBeCut) return {};
      return data_error("the last line is cut short", where);
    }
    if (length > kMaxLineBytes)
      return data_error("the line is longer than " + std::to_string(kMaxLineBytes) + " bytes", where);
    PLUMBLINE_ASSIGN(Json object, parse_json(rest.substr(0, length), where));
    if (!object.is_object()) return data_error("the line is not a JSON object", where);
    PLUMBLINE_TRY(take(std::move(object), where));
    rest.remove_prefix(length + 1);
  }
  return {};
}

}  // namespace plumbline
