// Trains the judges of norms that no rule can state, each on the outputs that were set apart for it.
#pragma once
#include <filesystem>
#include <vector>

#include "common/core/result.hpp"
#include "common/text/norm.hpp"
#include "coordinator/curate/pool.hpp"
#include "coordinator/curate/split.hpp"

namespace plumbline {

/// How a norm's classifier came about.
struct JudgeReport {
  std::size_t norm = 0;
  std::int64_t train_outputs = 0, held_out_outputs = 0;  ///< desired and undesired together
  double train_accuracy = 0, held_out_accuracy = 0;
  double majority = 0;  ///< accuracy on the held-out outputs of always giving their more frequent label
};

/// Puts the file of each norm with judge "classifier" into `folder` and sets norm.classifier_accuracy. One report for
/// each that is trained here; one that is taken from another dataset brings its accuracy along. A norm whose parts lack
/// desired or undesired outputs, and a dataset that has no classifier for it, is a data error.
Result<std::vector<JudgeReport>> make_classifiers(const std::vector<PooledExample>& examples, const Splits& splits,
                                                  const Recipe& recipe, const std::filesystem::path& folder,
                                                  std::vector<Norm>& norms);

}  // namespace plumbline
