// A run directory as a training leaves it, made up from a seed: for tests of the report and for looking at it. Three
// norms: "alignment" (rules, column score), "polite" (dpo, chrF) and "no-secret" (prohibitions, so without a score).
// Another run, "continued", is compared with; the held-out log-probs of "polite" fall.
// Its texts hold markup, because outputs are untrusted.
#pragma once
#include <filesystem>

#include "common/core/result.hpp"

namespace plumbline {

inline constexpr const char* kHostileText =
    "</script><script>document.title='broken out'</script><img src=x onerror=alert(1)>";

enum class SyntheticKind {
  kFinished,  ///< all parts
  kRunning,   ///< half the steps; no final evaluation, no snapshot
  kBare,      ///< config.yaml alone
};
Status make_synthetic_run(const std::filesystem::path& root, SyntheticKind kind);

}  // namespace plumbline
