#include "coordinator/report/samples.hpp"

#include <memory>
#include <optional>
#include <set>

#include "common/text/alignment.hpp"

namespace plumbline {
namespace {

/// How the texts of one norm are shown: as they are, or decoded to the rows of an alignment.
class Presenter {
 public:
  static Result<Presenter> make(const Norm& norm) {
    Presenter presenter;
    if (norm.rules.alignment) {
      PLUMBLINE_ASSIGN(presenter.source_, make_source_encoding(norm.rules.source_encoding));
      PLUMBLINE_ASSIGN(presenter.target_, make_target_encoding(norm.rules.target_encoding));
    }
    return presenter;
  }

  [[nodiscard]] Json source(const std::string& text) const {
    Json json = plain(text);
    if (source_) json["rows"] = source_->decode(text);
    return json;
  }

  [[nodiscard]] Json target(const std::string& text, const JudgedRow& row) const {
    Json json = plain(text);
    if (!target_ || text.size() > kMostSampleBytes) return json;
    const Rows unaligned = source_->decode(row.source);
    const auto aligned = target_->decode(text, unaligned.size());
    if (!aligned || aligned->empty()) return json;
    json["rows"] = *aligned;
    json["valid"] = ungapped(*aligned) == unaligned;
    if (!row.desired || !json["valid"].get<bool>()) return json;
    if (const auto truth = target_->decode(*row.desired, unaligned.size())) json["matched"] = matched(*aligned, *truth);
    return json;
  }

 private:
  static Json plain(const std::string& text) {
    if (text.size() <= kMostSampleBytes) return {{"text", text}};
    std::size_t end = kMostSampleBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not inside a code point
    return {{"text", text.substr(0, end)}, {"cut", text.size() - end}};
  }

  /// The columns as tuples of residue indices, −1 for a gap.
  static std::vector<std::vector<int>> columns(const Rows& rows) {
    std::vector<std::vector<int>> out(rows[0].size(), std::vector<int>(rows.size(), -1));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      int residue = 0;
      for (std::size_t c = 0; c < rows[0].size(); ++c)
        if (rows[r][c] != '-') out[c][r] = residue++;
    }
    return out;
  }

  static std::string matched(const Rows& rows, const Rows& truth) {
    if (truth.size() != rows.size()) return {};
    const auto true_columns = columns(truth);
    const std::set<std::vector<int>> known(true_columns.begin(), true_columns.end());
    std::string out;
    for (const auto& column : columns(rows)) out += known.contains(column) ? '1' : '0';
    return out;
  }

  std::unique_ptr<SourceEncoding> source_;
  std::unique_ptr<TargetEncoding> target_;
};

const char* kind_of(const JudgedRow& row) {
  const bool before = row.base.verdict.undesirable, after = row.aligned.verdict.undesirable;
  if (before) return after ? "still_undesirable" : "improved";
  return after ? "worse" : "still_acceptable";
}

Json output(const Presenter& presenter, const JudgedRow& row, const JudgedOutput& judged) {
  Json json = presenter.target(judged.text, row);
  json["undesirable"] = judged.verdict.undesirable;
  json["reason"] = judged.verdict.reason;
  json["complete"] = judged.complete;
  if (judged.score) json["score"] = *judged.score;
  return json;
}

Json item(const Presenter& presenter, const JudgedRow& row) {
  Json json = {{"row", row.row},
               {"kind", kind_of(row)},
               {"source", presenter.source(row.source)},
               {"base", output(presenter, row, row.base)},
               {"rules", output(presenter, row, row.rules)},
               {"aligned", output(presenter, row, row.aligned)}};
  for (const auto& [name, other] : row.others) json["others"][name] = output(presenter, row, other);
  if (row.desired) {
    json["desired"] = presenter.target(*row.desired, row);
    json["desired"].erase("matched");  // every one of its columns is
  }
  if (row.undesired) json["undesired"] = presenter.target(*row.undesired, row);
  return json;
}

/// Not picked by result: rows in their own order, those that say nothing of training left out.
Json story(const Presenter& presenter, const std::string& norm, const std::vector<JudgedRow>& rows) {
  std::size_t changed = 0;
  Json first = Json::array(), items = Json::array();
  for (const JudgedRow& row : rows) {
    if (row.norm != norm) continue;
    if (first.size() < kStorySamples) first.push_back(item(presenter, row));
    if (row.base.text == row.aligned.text) continue;
    if (changed++ < kStorySamples) items.push_back(item(presenter, row));
  }
  return {{"changed", changed}, {"items", changed > 0 ? items : first}};
}

Json samples_of(const Presenter& presenter, const std::string& norm, const std::vector<JudgedRow>& rows) {
  std::map<std::string, std::size_t> counts = {
      {"improved", 0}, {"worse", 0}, {"still_undesirable", 0}, {"still_acceptable", 0}};
  std::size_t total = 0, base_cut = 0, aligned_cut = 0;
  Json items = Json::array();
  for (const JudgedRow& row : rows) {
    if (row.norm != norm) continue;
    base_cut += !row.base.complete;
    aligned_cut += !row.aligned.complete;
    const std::size_t of_kind = ++counts[kind_of(row)];
    if (total++ < kFirstSamples || of_kind <= kSamplesOfAKind) items.push_back(item(presenter, row));
  }
  return {{"rows", total},
          {"counts", counts},
          {"cut", {{"base", base_cut}, {"aligned", aligned_cut}}},
          {"story", story(presenter, norm, rows)},
          {"items", items}};
}

}  // namespace

Result<Json> sample_outputs(const Judged& judged) {
  Json samples = Json::object();
  for (const Norm& norm : judged.norms) {
    PLUMBLINE_ASSIGN(const Presenter presenter, Presenter::make(norm));
    samples[norm.name] = samples_of(presenter, norm.name, judged.rows);
  }
  return Result<Json>(boost::system::in_place_value, std::move(samples));
}

}  // namespace plumbline
