// OUT.parts: the task, and one file of sampled rows for each worker process. Room-internal.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "common/data/sampling.hpp"

namespace plumbline {

/// Names in the folder; the worker is told the paths.
std::filesystem::path task_file(const std::filesystem::path& parts);
std::filesystem::path part_file(const std::filesystem::path& parts, int process, int processes);

/// Whole lines in the part files: rows that are answered. Reads only what was added since the last call.
class AnsweredRows {
 public:
  AnsweredRows(const std::filesystem::path& parts, int processes);
  std::int64_t count();

 private:
  struct File {
    std::filesystem::path path;
    std::int64_t offset = 0, lines = 0;
  };
  std::vector<File> files_;
};

/// Calls `take` with every row in the order of the batches. A part that lacks a row, or holds another, is a data error
/// that says how to mend it.
Status for_each_sampled_row(const std::filesystem::path& parts, int processes,
                            const std::vector<std::vector<std::int64_t>>& batches, int samples,
                            const std::function<Status(const SampledRow&)>& take);

}  // namespace plumbline
