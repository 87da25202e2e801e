#include "coordinator/refine/parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "coordinator/curate/line_reader.hpp"

namespace plumbline {

namespace fs = std::filesystem;

fs::path task_file(const fs::path& parts) { return parts / "task.json"; }

fs::path part_file(const fs::path& parts, int process, int processes) {
  return parts / fmt::format("part-{:04}-of-{:04}.jsonl", process, processes);
}

AnsweredRows::AnsweredRows(const fs::path& parts, int processes) {
  for (int p = 0; p < processes; ++p) files_.push_back({part_file(parts, p, processes)});
}

std::int64_t AnsweredRows::count() {
  std::int64_t total = 0;
  for (File& file : files_) {
    std::ifstream in(file.path, std::ios::binary);
    in.seekg(file.offset);
    char block[1 << 16];
    while (in.read(block, sizeof block), in.gcount() > 0) {
      file.lines += std::count(block, block + in.gcount(), '\n');
      file.offset += in.gcount();
    }
    total += file.lines;
  }
  return total;
}

Status for_each_sampled_row(const fs::path& parts, int processes, const std::vector<std::vector<std::int64_t>>& batches,
                            int samples, const std::function<Status(const SampledRow&)>& take) {
  std::vector<LineReader> readers;
  for (int p = 0; p < processes; ++p) {
    PLUMBLINE_ASSIGN(LineReader reader, LineReader::open(part_file(parts, p, processes)));
    readers.push_back(std::move(reader));
  }
  const std::string hint = "Remove the folder " + parts.string() + " and run the command again.";
  for (std::size_t b = 0; b < batches.size(); ++b) {
    LineReader& lines = readers[b % readers.size()];
    for (const std::int64_t row : batches[b]) {
      PLUMBLINE_ASSIGN(const auto line, lines.next());
      if (!line) return data_error("the samples end before row " + std::to_string(row), lines.file(), hint);
      PLUMBLINE_ASSIGN(const Json json, parse_json(*line, lines.where()));
      PLUMBLINE_ASSIGN(const SampledRow sampled, sampled_row_from_json(json, lines.where()));
      if (sampled.row != row || sampled.outputs.size() != static_cast<std::size_t>(samples))
        return data_error("the samples are not those of row " + std::to_string(row), lines.where(), hint);
      PLUMBLINE_TRY(take(sampled));
    }
  }
  return {};
}

}  // namespace plumbline
