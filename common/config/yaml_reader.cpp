#include "common/config/yaml_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace plumbline {

namespace {

std::string shortest(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

/// The whole of `text` as a number; from_chars knows no leading '+'.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------- Bounds

bool Bounds::hold(double value) const {
  return (!min || value >= *min) && (!above || value > *above) && (!below || value < *below) && (!max || value <= *max);
}

std::string Bounds::to_string() const {
  std::string text;
  const auto add = [&](const char* word, const std::optional<double>& bound) {
    if (bound) text += (text.empty() ? "" : " and ") + std::string(word) + " " + shortest(*bound);
  };
  add("at least", min);
  add("above", above);
  add("below", below);
  add("at most", max);
  return text;
}

// -------------------------------------------------------------------------------------------------------- YamlNode

std::string YamlNode::where() const {
  if (!source_) return {};
  return line_ > 0 ? *source_ + ":" + std::to_string(line_) : *source_;
}

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto found = std::find_if(members_.begin(), members_.end(), [&](const auto& m) { return m.first == key; });
  return found == members_.end() ? nullptr : &found->second;
}

Error YamlNode::error(const std::string& message, std::string hint) const {
  return usage_error((path_.empty() ? "the file" : path_) + " " + message, where(), std::move(hint));
}

Error YamlNode::wrong_type(const std::string& expected) const {
  std::string got;
  switch (kind_) {
    case Kind::kNull:
      return error("has no value; it must be " + expected);
    case Kind::kScalar:
      got = quoted_extract(text_) + (quoted_ && expected != "a map" && expected != "a list" ? " in quotes" : "");
      break;
    case Kind::kList:
      got = "a list";
      break;
    case Kind::kMap:
      got = "a map";
      break;
  }
  return error("must be " + expected + ", not " + got);
}

namespace {

template <class T>
Result<T> read_number(const YamlNode& node, bool quoted, const std::string& kind, const Bounds& bounds) {
  const std::string range = bounds.to_string();
  const std::string expected = kind + (range.empty() ? "" : " " + range);
  if (!node.is_scalar() || quoted) return node.wrong_type(expected);
  const auto value = parse_number<T>(node.text());
  if (!value || !std::isfinite(static_cast<double>(*value)) || !bounds.hold(static_cast<double>(*value)))
    return node.wrong_type(expected);
  return *value;
}

}  // namespace

template <>
Result<std::int64_t> YamlNode::as(const Bounds& bounds) const {
  return read_number<std::int64_t>(*this, quoted_, "a whole number", bounds);
}
template <>
Result<std::uint64_t> YamlNode::as(const Bounds& bounds) const {
  Bounds natural = bounds;
  if (!natural.min) natural.min = 0;
  return read_number<std::uint64_t>(*this, quoted_, "a whole number", natural);
}
template <>
Result<int> YamlNode::as(const Bounds& bounds) const {
  return read_number<int>(*this, quoted_, "a whole number", bounds);
}
template <>
Result<double> YamlNode::as(const Bounds& bounds) const {
  return read_number<double>(*this, quoted_, "a number", bounds);
}
template <>
Result<bool> YamlNode::as(const Bounds&) const {
  if (is_scalar() && !quoted_ && (text_ == "true" || text_ == "false")) return text_ == "true";
  return wrong_type("true or false");
}
template <>
Result<std::string> YamlNode::as(const Bounds&) const {
  if (!is_scalar()) return wrong_type("text");
  return text_;
}

void YamlNode::move_to(const std::string& path) {
  path_ = path;
  for (auto& [key, child] : members_) child.move_to(path + "." + key);
  for (std::size_t i = 0; i < items_.size(); ++i) items_[i].move_to(path + "[" + std::to_string(i) + "]");
}

YamlNode& YamlNode::member_or_new(const std::string& key, const YamlNode& like) {
  for (auto& [name, child] : members_)
    if (name == key) return child;
  YamlNode made;
  made.source_ = like.source_;
  made.line_ = like.line_;
  made.path_ = path_.empty() ? key : path_ + "." + key;
  return members_.emplace_back(key, std::move(made)).second;
}

Result<YamlNode> YamlNode::with(const std::string& key, const YamlNode& value) const {
  YamlNode root = *this;
  YamlNode* node = &root;
  std::size_t begin = 0;
  while (begin <= key.size()) {
    const std::size_t end = std::min(key.find('.', begin), key.size());
    const std::string part = key.substr(begin, end - begin);
    if (part.empty()) return usage_error("the key " + quoted_extract(key) + " has an empty part", value.where());
    if (node->is_null()) node->kind_ = Kind::kMap;
    if (!node->is_map())
      return usage_error("the key " + quoted_extract(key) + " does not exist: " + node->path() + " is not a map",
                         value.where());
    node = &node->member_or_new(part, value);
    begin = end + 1;
  }
  *node = value;
  node->move_to(key);
  return root;
}

// --------------------------------------------------------------------------------------------------------- YamlMap

Result<YamlMap> YamlMap::of(const YamlNode& node) {
  if (!node.is_map()) return node.wrong_type("a map");
  return YamlMap(node);
}

const YamlNode* YamlMap::find(const std::string& key) {
  known_.insert(key);
  return node_->find(key);
}

Result<const YamlNode*> YamlMap::require_node(const std::string& key, const std::string& hint) {
  const YamlNode* node = find(key);
  if (node == nullptr)
    return usage_error("the key " + (node_->path().empty() ? key : node_->path() + "." + key) + " is missing",
                       node_->where(), hint);
  return node;
}

Status YamlMap::read_choice(const std::string& key, std::string& out, const std::vector<std::string>& choices) {
  const YamlNode* node = find(key);
  if (node == nullptr) return {};
  PLUMBLINE_ASSIGN(const std::string value, node->as<std::string>());
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) return node->wrong_type(join_choices(choices));
  out = value;
  return {};
}

Status YamlMap::finish() const {
  const std::string prefix = node_->path().empty() ? "" : node_->path() + ".";
  for (const auto& [key, child] : node_->members()) {
    if (known_.contains(key)) continue;
    const std::vector<std::string> known(known_.begin(), known_.end());
    const auto near = nearest_name(key, known);
    return usage_error("unknown key " + prefix + key, child.where(),
                       near ? "Did you mean " + prefix + *near + "?" : "Known keys here: " + join_choices(known) + ".");
  }
  return {};
}

// ---------------------------------------------------------------------------------------------- names in messages

std::string quoted_extract(const std::string& text) {
  constexpr std::size_t kMost = 40;
  if (text.size() <= kMost) return '"' + text + '"';
  std::size_t cut = kMost;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0u) == 0x80u) --cut;
  return '"' + text.substr(0, cut) + "…\"";
}

std::string join_choices(const std::vector<std::string>& choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i)
    text += (i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ") + choices[i];
  return text;
}

namespace {

/// Levenshtein distance in which two swapped neighbours count as one edit.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest_name(const std::string& word, const std::vector<std::string>& choices) {
  constexpr std::size_t kLongestWord = 64;
  if (word.size() > kLongestWord) return std::nullopt;
  std::optional<std::string> nearest;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& choice : choices) {
    const std::size_t distance = edit_distance(word, choice);
    if (distance < least) least = distance, nearest = choice;
  }
  return nearest;
}

}  // namespace plumbline
