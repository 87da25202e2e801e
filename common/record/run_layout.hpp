// Where everything lies in a run directory. Nothing else spells these names.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "common/core/ids.hpp"
#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

class RunLayout {
 public:
  explicit RunLayout(std::filesystem::path root) : root_(std::move(root)) {}
  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  [[nodiscard]] std::filesystem::path config() const { return root_ / "config.yaml"; }
  [[nodiscard]] std::filesystem::path journal() const { return root_ / "journal.jsonl"; }
  [[nodiscard]] std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path coordinator() const { return root_ / "coordinator.json"; }
  [[nodiscard]] std::filesystem::path claim() const { return root_ / "claim"; }  ///< coordinator/journal/claim.hpp
  [[nodiscard]] std::filesystem::path secret() const { return root_ / "secret"; }
  [[nodiscard]] std::filesystem::path logs() const { return root_ / "logs"; }
  [[nodiscard]] std::filesystem::path worker_log(int rank) const;  ///< logs/worker-0003.log
  [[nodiscard]] std::filesystem::path coordinator_log() const { return logs() / "coordinator.log"; }
  [[nodiscard]] std::filesystem::path checkpoints() const { return root_ / "checkpoints"; }
  [[nodiscard]] std::filesystem::path checkpoint(Step step) const;  ///< checkpoints/step-00000100
  /// Where one generation's workers write their parts: checkpoints/.step-00000100.generation-3.partial
  [[nodiscard]] std::filesystem::path partial_checkpoint(Step step, Generation generation) const;
  [[nodiscard]] std::filesystem::path snapshots() const { return root_ / "snapshots"; }
  [[nodiscard]] std::filesystem::path snapshot(Step step) const;  ///< snapshots/step-00000100.h5
  [[nodiscard]] std::filesystem::path snapshot_part(Step step,
                                                    int rank) const;  ///< snapshots/.step-00000100.rank-0001.h5
  [[nodiscard]] std::filesystem::path reference() const { return root_ / "reference"; }
  [[nodiscard]] std::filesystem::path evaluation() const { return root_ / "evaluation"; }
  /// evaluation/step-00000100.jsonl: what the worker wrote for each held-out example (evaluation.hpp).
  [[nodiscard]] std::filesystem::path evaluation_rows(Step step) const;
  [[nodiscard]] std::filesystem::path summary() const { return evaluation() / "summary.json"; }
  [[nodiscard]] std::filesystem::path report() const { return root_ / "report.html"; }

 private:
  std::filesystem::path root_;
};

/// coordinator.json: how anyone finds the coordinator.
struct CoordinatorAddress {
  std::string host;
  int port = 0;
  Generation generation;
  std::int64_t pid = 0;
  std::string hostname;
};
Status write_address(const RunLayout& layout, const CoordinatorAddress& address);
Result<CoordinatorAddress> read_address(const RunLayout& layout);
Result<CoordinatorAddress> address_from_json(const Json& json, const std::string& where);

/// 32 random bytes as hex, mode 0600. read_secret refuses a file that others may read.
Status write_secret(const RunLayout& layout);
Result<std::string> read_secret(const RunLayout& layout);

}  // namespace plumbline
