// The first line is a source, the rest an output: decoded, judged, scored. What is decoded must encode to the same
// text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/text/alignment.hpp"
#include "common/text/norm.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view source = text.substr(0, text.find('\n'));
  const std::string_view output = source.size() < text.size() ? text.substr(source.size() + 1) : std::string_view();
  static const auto concat = make_source_encoding("concat").value();
  static const auto spaces = make_target_encoding("spaces").value();
  static const auto judge = [] {
    RuleSet rules;
    rules.alignment = true;
    return make_rule_judge(rules, "fuzz").value();
  }();
  const Rows rows = concat->decode(source);
  if (concat->encode(rows) != source) std::abort();
  const auto aligned = spaces->decode(output, rows.size());
  if (aligned && spaces->encode(*aligned) != output) std::abort();
  const bool undesirable = judge->judge(source, output).undesirable;
  if (undesirable == (aligned && ungapped(*aligned) == rows)) std::abort();
  if (aligned && column_score(*aligned, *aligned) != 1) std::abort();
  return 0;
}
