// YAML at the edge: text becomes an immutable tree of YamlNode, and typed reads turn nodes into values. Every error is
// a usage error that names file:line (or the command-line option) and the full dotted key. No yaml-cpp type is seen
// here.
//
//   PLUMBLINE_ASSIGN(const YamlNode root, load_yaml("recipe.yaml"));
//   PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(root));
//   PLUMBLINE_TRY(map.require("name", recipe.name));
//   PLUMBLINE_TRY(map.read("held_out", recipe.held_out, {.above = 0, .below = 1}));
//   PLUMBLINE_TRY(map.finish());  // refuses what was not asked for, and names the nearest known key
//
// Bounded: size, nesting, nodes, and the length of a key path. Anchors, aliases, tags, duplicate keys and a second
// document are refused. Immutable after parsing, so any thread may read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

inline constexpr std::size_t kMaxYamlBytes = 1u << 20;
inline constexpr int kMaxYamlDepth = 32;
inline constexpr std::size_t kMaxYamlNodes = 1u << 16;
inline constexpr std::size_t kMaxYamlPathBytes = 512;

/// Bounds of a number; what is not set is not checked.
struct Bounds {
  std::optional<double> min{}, above{}, below{},
      max{};  ///< min and max are allowed themselves, above and below are not
  [[nodiscard]] bool hold(double value) const;
  /// "at least 1 and at most 64"; empty when nothing is set.
  [[nodiscard]] std::string to_string() const;
};

class YamlNode {
 public:
  enum class Kind { kNull, kScalar, kList, kMap };
  using Members = std::vector<std::pair<std::string, YamlNode>>;

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is_null() const { return kind_ == Kind::kNull; }
  [[nodiscard]] bool is_scalar() const { return kind_ == Kind::kScalar; }
  [[nodiscard]] bool is_list() const { return kind_ == Kind::kList; }
  [[nodiscard]] bool is_map() const { return kind_ == Kind::kMap; }

  /// "recipe.yaml:7", or what the caller named as the source when that has no lines.
  [[nodiscard]] std::string where() const;
  [[nodiscard]] int line() const { return line_; }
  /// Full dotted key, "sources[0].path"; empty at the root.
  [[nodiscard]] const std::string& path() const { return path_; }

  /// A scalar's text as written (without quotes).
  [[nodiscard]] const std::string& text() const { return text_; }
  /// In the order of the file; empty for other kinds.
  [[nodiscard]] const std::vector<YamlNode>& items() const { return items_; }
  [[nodiscard]] const Members& members() const { return members_; }
  /// The member `key`, or nullptr.
  [[nodiscard]] const YamlNode* find(std::string_view key) const;

  /// T: bool, int, std::int64_t, std::uint64_t, double (finite), std::string. Quoted text is only ever a string.
  template <class T>
  [[nodiscard]] Result<T> as(const Bounds& bounds = {}) const;
  /// Every item as a T.
  template <class T>
  [[nodiscard]] Result<std::vector<T>> as_list(const Bounds& bounds = {}) const {
    if (!is_list()) return wrong_type("a list");
    std::vector<T> values;
    for (const YamlNode& item : items_) {
      PLUMBLINE_ASSIGN(T value, item.as<T>(bounds));
      values.push_back(std::move(value));
    }
    return values;
  }

  /// A usage error at this node: "where: <path> <message>".
  [[nodiscard]] Error error(const std::string& message, std::string hint = {}) const;
  /// "<path> must be <expected>, not …".
  [[nodiscard]] Error wrong_type(const std::string& expected) const;

  /// This tree with the node at the dotted `key` replaced by `value` (maps on the way are made). Usage error when the
  /// key runs through something that is not a map.
  [[nodiscard]] Result<YamlNode> with(const std::string& key, const YamlNode& value) const;

 private:
  friend class YamlTreeBuilder;
  void move_to(const std::string& path);
  YamlNode& member_or_new(const std::string& key, const YamlNode& like);

  Kind kind_ = Kind::kNull;
  int line_ = 0;  ///< from 1; 0: the source has no lines
  bool quoted_ = false;
  std::shared_ptr<const std::string> source_;
  std::string path_, text_;
  std::vector<YamlNode> items_;
  Members members_;
};

template <>
Result<std::int64_t> YamlNode::as(const Bounds& bounds) const;
template <>
Result<std::uint64_t> YamlNode::as(const Bounds& bounds) const;
template <>
Result<int> YamlNode::as(const Bounds& bounds) const;
template <>
Result<double> YamlNode::as(const Bounds& bounds) const;
template <>
Result<bool> YamlNode::as(const Bounds& bounds) const;
template <>
Result<std::string> YamlNode::as(const Bounds& bounds) const;

/// `source` names the text in errors. `root_path` is the key that the whole text is the value of (`--set`), with which
/// errors name no line.
Result<YamlNode> parse_yaml(const std::string& text, const std::string& source, const std::string& root_path = {});
/// A file that is missing, unreadable or too large is a usage error that names it.
Result<YamlNode> load_yaml(const std::filesystem::path& file);

/// Reads a map key by key and remembers which keys it was asked for. The node must outlive it.
class YamlMap {
 public:
  static Result<YamlMap> of(const YamlNode& node);

  /// The member, or nullptr when it is absent; known from now on.
  const YamlNode* find(const std::string& key);
  /// The member; a usage error when it is absent.
  Result<const YamlNode*> require_node(const std::string& key, const std::string& hint = {});

  /// Sets `out` when the key is there; T as in YamlNode::as.
  template <class T>
  Status read(const std::string& key, T& out, const Bounds& bounds = {}) {
    if (const YamlNode* node = find(key)) {
      PLUMBLINE_ASSIGN(out, node->as<T>(bounds));
    }
    return {};
  }
  template <class T>
  Status read(const std::string& key, std::optional<T>& out, const Bounds& bounds = {}) {
    if (const YamlNode* node = find(key)) {
      PLUMBLINE_ASSIGN(out, node->as<T>(bounds));
    }
    return {};
  }
  template <class T>
  Status read(const std::string& key, std::vector<T>& out, const Bounds& bounds = {}) {
    if (const YamlNode* node = find(key)) {
      PLUMBLINE_ASSIGN(out, node->as_list<T>(bounds));
    }
    return {};
  }
  /// One of `choices`; a usage error that lists them otherwise.
  Status read_choice(const std::string& key, std::string& out, const std::vector<std::string>& choices);
  /// As read(), and a usage error when the key is absent.
  template <class T>
  Status require(const std::string& key, T& out, const Bounds& bounds = {}) {
    PLUMBLINE_TRY(require_node(key));
    return read(key, out, bounds);
  }

  /// A usage error at the first key that nobody asked for; its hint names the nearest known key.
  [[nodiscard]] Status finish() const;
  [[nodiscard]] const YamlNode& node() const { return *node_; }

 private:
  explicit YamlMap(const YamlNode& node) : node_(&node) {}
  const YamlNode* node_;
  std::set<std::string> known_;
};

/// `text` in quotes for a message, cut when it is long.
std::string quoted_extract(const std::string& text);
/// `choices` by name, "a, b or c".
std::string join_choices(const std::vector<std::string>& choices);
/// The choice that `word` was most likely meant to be; nothing when none is near.
std::optional<std::string> nearest_name(const std::string& word, const std::vector<std::string>& choices);

}  // namespace plumbline
