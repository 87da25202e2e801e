// Which coordinator a run belongs to: RUN/claim, which every coordinator replaces when it starts. The lock on the
// journal is not enough for that: a coordinator that is stopped, or whose host is cut off, holds it for as long as it
// likes, and some network file systems lock on each host alone. So whoever takes a run over lays a claim first and
// reads the journal behind it, and a coordinator that finds another's claim has no say any more: what it wrote to the
// journal since nobody was told of, and it ends.
//
//   {"token":"…","pid":4242,"hostname":"node7","time":"2026-11-24T10:24:13.123456Z"}
//
// Opening a file by its name is what network file systems answer from the server and not from a cache, so that is what
// a look does. May be called from any thread.
#pragma once
#include <optional>
#include <string>

#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

class Claim {
 public:
  /// Makes the run this process's, and no other's from now on. A run error when the file cannot be written.
  static Result<Claim> lay(const RunLayout& layout);
  /// Who has laid a claim since: "process 4242 on node7". Nobody where the file is gone or cannot be read.
  [[nodiscard]] std::optional<std::string> superseded_by() const;
  /// A run error that says by whom, when the run is another's.
  [[nodiscard]] Status check() const;

 private:
  Claim(RunLayout layout, std::string token) : layout_(std::move(layout)), token_(std::move(token)) {}
  RunLayout layout_;
  std::string token_;
};

/// Of a coordinator whose run is `who`'s now.
Error superseded_error(const RunLayout& layout, const std::string& who);

}  // namespace plumbline
