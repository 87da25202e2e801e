// From YAML text to YamlNode: the only file that knows yaml-cpp.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "common/config/yaml_reader.hpp"
#include "common/core/files.hpp"
#include "common/core/utf8.hpp"

namespace plumbline {

namespace {
struct Refused {
  Error error;
};
}  // namespace

/// Builds the tree from yaml-cpp's events. Anything that is not plain data is thrown as Refused, which parse_yaml
/// catches.
class YamlTreeBuilder : public YAML::EventHandler {
 public:
  YamlTreeBuilder(const std::string& source, std::string root_path)
      : source_(std::make_shared<std::string>(source)), has_lines_(root_path.empty()) {
    root_.source_ = source_;
    root_.path_ = std::move(root_path);
    root_.line_ = has_lines_ ? 1 : 0;
  }

  YamlNode take_root() { return std::move(root_); }
  Error error_at(const YAML::Mark& mark, const std::string& message, std::string hint = {}) const {
    return usage_error(message, has_lines_ ? *source_ + ":" + std::to_string(mark.line + 1) : *source_,
                       std::move(hint));
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{error_at(mark, "a second YAML document starts here, and only one is read")};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (awaits_key())
      throw Refused{error_at(mark, "a key is empty or null", "Put the word null in quotes if it is a name.")};
    place(begin(mark, anchor, "", YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{error_at(mark, "aliases (*name) are not read here", "Write the value out, or put text in quotes.")};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (awaits_key()) {
      take_key(mark, tag, anchor, value);
      return;
    }
    YamlNode node = begin(mark, anchor, tag, YamlNode::Kind::kScalar);
    node.text_ = value;
    node.quoted_ = tag == "!";
    place(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_collection(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close_collection(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_collection(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close_collection(); }

 private:
  /// A list or map that has begun and not ended, with the key whose value comes next.
  struct Open {
    YamlNode node;
    std::optional<std::string> key;
    int key_line = 0;
    std::unordered_map<std::string, int> key_lines;
  };

  [[nodiscard]] bool awaits_key() const { return !open_.empty() && open_.back().node.is_map() && !open_.back().key; }

  static void check_plain(const YamlTreeBuilder& self, const YAML::Mark& mark, YAML::anchor_t anchor,
                          const std::string& tag) {
    if (anchor != 0)
      throw Refused{
          self.error_at(mark, "anchors (&name) are not read here", "Write the value out, or put text in quotes.")};
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refused{self.error_at(mark, "tags (!name) are not read here", "Remove the tag, or put text in quotes.")};
  }

  void take_key(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& key) {
    check_plain(*this, mark, anchor, tag);
    Open& map = open_.back();
    if (key.empty()) throw Refused{error_at(mark, "a key is empty")};
    const auto [earlier, is_new] = map.key_lines.emplace(key, mark.line + 1);
    if (!is_new)
      throw Refused{error_at(mark, "the key " + quoted_extract(key) + " is given twice",
                             "Line " + std::to_string(earlier->second) + " gives it already; keep one of them.")};
    map.key = key;
    map.key_line = mark.line + 1;
  }

  YamlNode begin(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& tag, YamlNode::Kind kind) {
    check_plain(*this, mark, anchor, tag);
    if (++nodes_ > kMaxYamlNodes)
      throw Refused{error_at(mark, "more than " + std::to_string(kMaxYamlNodes) + " values in one file")};
    YamlNode node;
    node.kind_ = kind;
    node.source_ = source_;
    node.line_ = has_lines_ ? mark.line + 1 : 0;
    node.path_ = root_.path_;
    if (!open_.empty()) {
      const Open& parent = open_.back();
      node.path_ = parent.node.path_;
      if (parent.node.is_list()) {
        node.path_.append(1, '[').append(std::to_string(parent.node.items_.size())).append(1, ']');
      } else {
        // A value that stands under its key is still spoken of by the key's line.
        if (has_lines_) node.line_ = parent.key_line;
        node.path_ += (node.path_.empty() ? "" : ".") + *parent.key;
      }
    }
    if (node.path_.size() > kMaxYamlPathBytes) throw Refused{error_at(mark, "a key of more than 512 bytes")};
    return node;
  }

  void open_collection(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (awaits_key()) throw Refused{error_at(mark, "a key must be text, not a list or a map")};
    if (open_.size() >= static_cast<std::size_t>(kMaxYamlDepth))
      throw Refused{error_at(mark, "nested more than " + std::to_string(kMaxYamlDepth) + " deep")};
    open_.push_back({begin(mark, anchor, tag, kind), std::nullopt, 0, {}});
  }
  void close_collection() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }
  void place(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.is_list()) {
      parent.node.items_.push_back(std::move(node));
    } else {
      parent.node.members_.emplace_back(std::move(*parent.key), std::move(node));
      parent.key.reset();
    }
  }

  std::shared_ptr<const std::string> source_;
  bool has_lines_;
  YamlNode root_;
  std::vector<Open> open_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

Result<YamlNode> parse_yaml(const std::string& text, const std::string& source, const std::string& root_path) {
  if (text.size() > kMaxYamlBytes)
    return usage_error("larger than " + std::to_string(kMaxYamlBytes >> 10) + " KiB, so it is no configuration",
                       source);
  YamlTreeBuilder builder(source, root_path);
  // yaml-cpp would guess UTF-16 and UTF-32 from the first bytes, and read bad bytes as U+FFFD.
  if (const std::size_t bad = first_invalid_utf8(text); bad != text.size() || text.find('\0') != std::string::npos) {
    YAML::Mark mark;
    mark.line = static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(bad), '\n'));
    return builder.error_at(mark, "not UTF-8 text", "Save the file as UTF-8.");
  }
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return refused.error;
  } catch (const YAML::Exception& e) {
    return builder.error_at(e.mark, "not valid YAML: " + e.msg);
  } catch (const std::exception& e) {
    return usage_error(std::string("not valid YAML: ") + e.what(), source);
  }
  return builder.take_root();
}

Result<YamlNode> load_yaml(const std::filesystem::path& file) {
  auto text = read_file(file, kMaxYamlBytes);
  if (!text) {
    Error error = std::move(text).error();
    error.code = ErrorCode::kUsage;
    return error;
  }
  return parse_yaml(*text, file.string());
}

}  // namespace plumbline
