#include "coordinator/generate/sources.hpp"

#include "coordinator/curate/jsonl_importer.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMaxWindowBytes = 16u << 20;

}  // namespace

Result<SourceReader> SourceReader::open(const std::string& input, LineForm form) {
  if (input == "-") return SourceReader(LineReader::standard_input(), form);
  PLUMBLINE_ASSIGN(LineReader lines, LineReader::open(input));
  return SourceReader(std::move(lines), form);
}

Result<std::optional<std::string>> SourceReader::next() {
  if (form_ == LineForm::kPlain) {
    PLUMBLINE_ASSIGN(const auto line, lines_.next());
    return line ? std::make_optional(std::string(*line)) : std::nullopt;
  }
  PLUMBLINE_ASSIGN(const auto row, next_json_object(lines_));
  if (!row) return std::optional<std::string>();
  PLUMBLINE_ASSIGN(auto source, text_member(*row, "source", where()));
  if (!source) return data_error("the key \"source\" is missing", where(), keys_hint(*row));
  return std::optional<std::string>(std::move(source));
}

Result<ReadWindow> read_window(SourceReader& sources, std::int64_t first, std::int64_t max_sources) {
  ReadWindow read;
  read.window.first = first;
  std::size_t bytes = 0;
  while (std::ssize(read.window.sources) < max_sources && bytes < kMaxWindowBytes) {
    PLUMBLINE_ASSIGN(auto source, sources.next());
    if (!source) break;
    bytes += source->size();
    read.window.sources.push_back(std::move(*source));
    read.where.push_back(sources.where());
  }
  return read;
}

}  // namespace plumbline
