#include "coordinator/curate/fasta_importer.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "common/core/check.hpp"
#include "common/data/plan.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace plumbline {

namespace {

constexpr std::size_t kMaxRows = 100'000, kMaxAlignmentBytes = 256u << 20;

bool is_residue(unsigned char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

Status append_residues(std::string_view text, const std::string& where, FastaRow& row) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ' || c == '\t') continue;
    if (c == '-' || c == '.') {
      row.residues += '-';
    } else if (is_residue(byte)) {
      row.residues += static_cast<char>(byte & ~0x20u);  // upper case
    } else {
      const std::string shown = byte > ' ' && byte < 0x7f ? std::string(1, c) : "byte " + std::to_string(byte);
      return data_error("row " + row.name + " holds \"" + shown + "\", which is no residue and no gap", where,
                        "Residues are letters; gaps are '-' or '.'.");
    }
  }
  return {};
}

/// The name, up to the first white space; bounded, since it goes into messages.
std::string name_of(std::string_view header) {
  header.remove_prefix(1);
  header = header.substr(0, std::min<std::size_t>(header.find_first_of(" \t"), 100));
  return header.empty() ? "without a name" : std::string(header);
}

Status check_rows(const std::vector<FastaRow>& rows, const LineReader& lines) {
  for (const FastaRow& row : rows) {
    if (row.residues.empty()) return data_error("row " + row.name + " holds no residue", lines.where(row.line));
    if (row.residues.size() != rows.front().residues.size())
      return data_error("row " + row.name + " is " + std::to_string(row.residues.size()) + " long and the first row, " +
                            rows.front().name + ", " + std::to_string(rows.front().residues.size()),
                        lines.where(row.line), "The rows of an alignment have one length; fill them with gaps.");
  }
  return {};
}

std::size_t count_residues(const std::string& row) {
  return row.size() - static_cast<std::size_t>(std::count(row.begin(), row.end(), '-'));
}

/// `count` distinct places among `size`, ascending; the draw-th choice of (seed).
std::vector<std::size_t> draw_places(std::uint64_t seed, std::uint64_t draw, std::size_t size, std::size_t count) {
  const KeyedPermutation order(seed, draw, size);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < count; ++i) places.push_back(order(i));
  std::sort(places.begin(), places.end());
  return places;
}

}  // namespace

Result<std::vector<FastaRow>> read_alignment(LineReader& lines) {
  std::vector<FastaRow> rows;
  std::size_t bytes = 0;
  while (true) {
    PLUMBLINE_ASSIGN(const auto line, lines.next());
    if (!line) break;
    if (line->empty() || line->front() == ';') continue;  // ';': a comment of the oldest FASTA files
    if (line->front() == '>') {
      if (rows.size() == kMaxRows)
        return data_error("the alignment has more than " + std::to_string(kMaxRows) + " rows", lines.where());
      rows.push_back({name_of(*line), lines.line(), ""});
      continue;
    }
    if (rows.empty())
      return data_error("the file does not start with \">\" and a name", lines.where(),
                        "Is this an aligned FASTA file?");
    bytes += line->size();
    if (bytes > kMaxAlignmentBytes)
      return data_error("the alignment is larger than " + std::to_string(kMaxAlignmentBytes) + " bytes", lines.where());
    PLUMBLINE_TRY(append_residues(*line, lines.where(), rows.back()));
  }
  PLUMBLINE_TRY(check_rows(rows, lines));
  return rows;
}

Rows without_empty_columns(const Rows& rows) {
  Rows kept(rows.size());
  if (rows.empty()) return kept;
  for (std::size_t column = 0; column < rows.front().size(); ++column) {
    if (std::all_of(rows.begin(), rows.end(), [&](const std::string& row) { return row[column] == '-'; })) continue;
    for (std::size_t i = 0; i < rows.size(); ++i) kept[i] += rows[i][column];
  }
  return kept;
}

AlignmentEncoder::AlignmentEncoder(const RuleSet& rules) {
  auto source = make_source_encoding(rules.source_encoding);
  auto target = make_target_encoding(rules.target_encoding);
  PLUMBLINE_CHECK(source.has_value() && target.has_value(), "a recipe names known encodings only");
  source_ = std::move(*source);
  target_ = std::move(*target);
}

Imported AlignmentEncoder::encode(const Rows& aligned, std::int64_t line) const {
  const Rows rows = without_empty_columns(aligned);
  Imported example;
  example.line = line;
  example.source = source_->encode(ungapped(rows));
  example.desired = target_->encode(rows);
  return example;
}

Status FastaImporter::read(LineReader& lines, ImportSink& sink) const {
  PLUMBLINE_ASSIGN(std::vector<FastaRow> rows, read_alignment(lines));
  // A row of gaps only says nothing, and one that is too long would make every example that holds it too long.
  std::erase_if(rows, [&](const FastaRow& row) {
    const std::size_t residues = count_residues(row.residues);
    const bool takes_part = residues > 0 && residues <= static_cast<std::size_t>(format_.max_residues);
    if (!takes_part) sink.leave_out(residues == 0 ? Reason::kRowOfGaps : Reason::kRowTooLong, row.line);
    return !takes_part;
  });
  if (rows.size() < 2) {
    if (!rows.empty()) sink.leave_out(Reason::kSingleRow, rows.front().line);
    return {};
  }
  if (format_.max_rows > 0 && rows.size() < static_cast<std::size_t>(format_.min_rows)) {
    sink.leave_out(Reason::kTooFewRows, rows.front().line);
    return {};
  }
  const std::string file = std::filesystem::path(lines.file()).filename().string();
  const std::uint64_t seed = XXH3_64bits_withSeed(file.data(), file.size(), seed_);
  std::set<std::vector<std::size_t>> drawn;
  // Small alignments run out of different choices, so the draws are bounded too.
  for (std::uint64_t draw = 0; drawn.size() < static_cast<std::size_t>(format_.examples_per_file) &&
                               draw < 4 * static_cast<std::uint64_t>(format_.examples_per_file);
       ++draw) {
    std::size_t count = rows.size();
    if (format_.max_rows > 0) {
      const auto span = static_cast<std::uint64_t>(format_.max_rows - format_.min_rows + 1);
      const std::uint64_t wanted =
          static_cast<std::uint64_t>(format_.min_rows) + XXH3_64bits_withSeed(&draw, sizeof draw, seed) % span;
      count = std::min<std::size_t>(count, wanted);
    }
    const auto places = draw_places(seed, draw, rows.size(), count);
    if (!drawn.insert(places).second) continue;
    Rows chosen;
    for (const std::size_t place : places) chosen.push_back(rows[place].residues);
    Imported example = encoder_.encode(chosen, rows[places.front()].line);
    example.group = lines.file();
    PLUMBLINE_TRY(sink.take(std::move(example)));
  }
  return {};
}

}  // namespace plumbline
