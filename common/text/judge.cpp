// The judges: rules, each with its own small class, and the classifier.
#include <fmt/format.h>
#include <re2/re2.h>

#include "common/config/yaml_reader.hpp"  // quoted_extract
#include "common/core/utf8.hpp"
#include "common/text/alignment.hpp"
#include "common/text/classifier.hpp"
#include "common/text/norm.hpp"
#include "common/text/word_list.hpp"

namespace plumbline {

namespace {

/// Compiled once, ASCII and Unicode case ignored. RE2 answers in time linear in the text, whatever the pattern.
Result<std::unique_ptr<RE2>> compile(const std::string& pattern, const char* kind, const std::string& where) {
  RE2::Options options;
  options.set_case_sensitive(false);
  options.set_log_errors(false);
  auto compiled = std::make_unique<RE2>(pattern, options);
  if (!compiled->ok())
    return data_error(fmt::format("the {} pattern {} is no regular expression that RE2 reads: {}", kind,
                                  quoted_extract(pattern), compiled->error()),
                      where, "The syntax is RE2's: no look-around and no back-references.");
  return compiled;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// Rows of equal length, each of them its source's residues and gaps; without staggered gaps where that is asked for.
class AlignmentRule {
 public:
  static Result<AlignmentRule> make(const RuleSet& rules, const std::string& where) {
    AlignmentRule rule;
    auto source = make_source_encoding(rules.source_encoding);
    if (!source) return data_error(source.error().message, where, source.error().hint);
    auto target = make_target_encoding(rules.target_encoding);
    if (!target) return data_error(target.error().message, where, target.error().hint);
    rule.source_ = std::move(source).value();
    rule.target_ = std::move(target).value();
    rule.no_staggered_gaps_ = rules.no_staggered_gaps;
    return rule;
  }

  /// What is wrong; nothing when the output is an alignment of its source.
  [[nodiscard]] std::optional<std::string> broken_by(std::string_view source, std::string_view output) const {
    const Rows wanted = source_->decode(source);
    const auto aligned = target_->decode(output, wanted.size());
    if (!aligned)
      return fmt::format("its length of {} does not make {} rows of equal length", output.size(), wanted.size());
    const Rows residues = ungapped(*aligned);
    for (std::size_t row = 0; row < wanted.size(); ++row) {
      if (residues[row] == wanted[row]) continue;
      const auto differs =
          std::mismatch(wanted[row].begin(), wanted[row].end(), residues[row].begin(), residues[row].end());
      const auto at = differs.first - wanted[row].begin();
      if (differs.first == wanted[row].end())
        return fmt::format("row {} goes on after the end of its sequence (residues too many: {})", row + 1,
                           residues[row].size() - wanted[row].size());
      if (differs.second == residues[row].end())
        return fmt::format("row {} ends before its sequence does (residues missing: {})", row + 1,
                           wanted[row].size() - residues[row].size());
      return fmt::format("row {} differs from its sequence at residue {}", row + 1, at + 1);
    }
    if (const auto column = no_staggered_gaps_ ? staggered_gaps(*aligned) : std::nullopt)
      return fmt::format("one row's gap ends in column {} and another's begins in the next (staggered gaps)",
                         *column + 1);
    return std::nullopt;
  }

 private:
  std::unique_ptr<SourceEncoding> source_;
  std::unique_ptr<TargetEncoding> target_;
  bool no_staggered_gaps_ = false;
};

class RuleJudge final : public Judge {
 public:
  static Result<std::unique_ptr<Judge>> make(const RuleSet& rules, const std::string& where) {
    auto judge = std::unique_ptr<RuleJudge>(new RuleJudge(rules));
    for (const std::string& word : rules.forbidden_words)
      if (trimmed(word).empty()) return data_error("a forbidden word is empty", where);
    for (const std::string& pattern : rules.forbidden_patterns) {
      PLUMBLINE_ASSIGN(auto compiled, compile(pattern, "forbidden", where));
      judge->forbidden_.push_back(std::move(compiled));
    }
    for (const std::string& pattern : rules.required_patterns) {
      PLUMBLINE_ASSIGN(auto compiled, compile(pattern, "required", where));
      judge->required_.push_back(std::move(compiled));
    }
    if (rules.alignment) {
      PLUMBLINE_ASSIGN(judge->alignment_, AlignmentRule::make(rules, where));
    }
    return judge;
  }

  [[nodiscard]] Verdict judge(std::string_view source, std::string_view output) const override {
    if (alignment_)
      if (const auto reason = alignment_->broken_by(source, output)) return {true, *reason};
    if (const auto word = words_.first_in(output)) return {true, fmt::format("has the forbidden word \"{}\"", *word)};
    for (const auto& pattern : forbidden_) {
      re2::StringPiece match;
      if (pattern->Match(piece(output), 0, output.size(), RE2::UNANCHORED, &match, 1))
        return {true, fmt::format("has {}, which the forbidden pattern {} matches",
                                  quoted_extract(std::string(match.data(), match.size())),
                                  quoted_extract(pattern->pattern()))};
    }
    for (const auto& pattern : required_)
      if (!RE2::PartialMatch(piece(output), *pattern))
        return {true, fmt::format("lacks what the required pattern {} matches", quoted_extract(pattern->pattern()))};
    if (const auto reason = broken_length(output)) return {true, *reason};
    if (rules_.not_a_copy && trimmed(source) == trimmed(output)) return {true, "is a copy of the source"};
    return {};
  }

 private:
  explicit RuleJudge(const RuleSet& rules) : rules_(rules), words_(rules.forbidden_words) {}

  static re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

  [[nodiscard]] std::optional<std::string> broken_length(std::string_view output) const {
    if (!rules_.min_characters && !rules_.max_characters) return std::nullopt;
    const auto length = static_cast<std::int64_t>(code_points(output).size());
    if (rules_.min_characters && length < *rules_.min_characters)
      return fmt::format("is too short (characters: {}, at least {} wanted)", length, *rules_.min_characters);
    if (rules_.max_characters && length > *rules_.max_characters)
      return fmt::format("is too long (characters: {}, at most {} wanted)", length, *rules_.max_characters);
    return std::nullopt;
  }

  RuleSet rules_;
  WordList words_;
  std::vector<std::unique_ptr<RE2>> forbidden_, required_;
  std::optional<AlignmentRule> alignment_;
};

class ClassifierJudge final : public Judge {
 public:
  explicit ClassifierJudge(NgramClassifier classifier) : classifier_(std::move(classifier)) {}
  [[nodiscard]] Verdict judge(std::string_view, std::string_view output) const override {
    const double probability = classifier_.probability(output);
    if (probability < 0.5) return {};
    return {true, fmt::format("classifier {:.2f}", probability)};
  }

 private:
  NgramClassifier classifier_;
};

}  // namespace

Result<std::unique_ptr<Judge>> make_rule_judge(const RuleSet& rules, const std::string& where) {
  return RuleJudge::make(rules, where);
}

Status check_judges(const std::vector<Norm>& norms, const std::string& dataset_dir) {
  for (const Norm& norm : norms) PLUMBLINE_TRY(make_judge(norm, dataset_dir));
  return {};
}

Result<std::unique_ptr<Judge>> make_judge(const Norm& norm, const std::string& dataset_dir) {
  if (norm.judge == JudgeKind::kRules) return make_rule_judge(norm.rules, "norm " + norm.name);
  PLUMBLINE_ASSIGN(NgramClassifier classifier,
                   NgramClassifier::load(std::filesystem::path(dataset_dir) / norm.classifier_file));
  return std::make_unique<ClassifierJudge>(std::move(classifier));
}

}  // namespace plumbline
