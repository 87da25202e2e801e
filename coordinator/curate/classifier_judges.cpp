#include "coordinator/curate/classifier_judges.hpp"

#include <algorithm>

#include "common/data/dataset.hpp"
#include "common/text/classifier.hpp"

namespace plumbline {

namespace {

using JudgedRows = std::vector<NgramClassifier::Row>;

/// Every output of the norm's examples in `part`, with its label.
JudgedRows outputs_of(const std::vector<PooledExample>& examples, const Splits& splits, std::size_t norm, Part part) {
  JudgedRows rows;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].norm != norm || splits.parts[i] != part) continue;
    const Example& example = examples[i].example;
    if (example.kind != ExampleKind::kProhibition) rows.push_back({example.desired, false});
    if (example.kind != ExampleKind::kDemonstration) rows.push_back({example.undesired, true});
  }
  return rows;
}

std::size_t count_undesirable(const JudgedRows& rows) {
  return static_cast<std::size_t>(
      std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.undesirable; }));
}

Status check_labels(const JudgedRows& rows, const Norm& norm, const char* purpose) {
  const std::size_t undesirable = count_undesirable(rows);
  if (undesirable > 0 && undesirable < rows.size()) return {};
  return data_error("norm " + norm.name + ": the examples set apart to " + purpose + " its classifier have no " +
                        (undesirable == 0 ? "undesired" : "desired") + " output",
                    "norms." + norm.name + ".judge",
                    "Give more examples of both kinds, raise the shares under classifier:, or write judge: rules.");
}

/// The classifier by which `from` judges the norm of this name.
Status take_classifier(const std::filesystem::path& from, const std::filesystem::path& folder, Norm& norm) {
  PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(from, Verify::kSizes));
  for (const Norm& theirs : dataset.info().norms) {
    if (theirs.name != norm.name || theirs.judge != JudgeKind::kClassifier) continue;
    PLUMBLINE_ASSIGN(const NgramClassifier classifier, NgramClassifier::load(from / theirs.classifier_file));
    PLUMBLINE_TRY(classifier.save(folder / norm.classifier_file));
    norm.classifier_accuracy = theirs.classifier_accuracy;
    return {};
  }
  return data_error("the dataset has no classifier for a norm " + norm.name, from.string(),
                    "classifier.from must name a dataset in which a classifier judges the norm of the same name.");
}

}  // namespace

Result<std::vector<JudgeReport>> make_classifiers(const std::vector<PooledExample>& examples, const Splits& splits,
                                                  const Recipe& recipe, const std::filesystem::path& folder,
                                                  std::vector<Norm>& norms) {
  std::vector<JudgeReport> reports;
  for (std::size_t i = 0; i < norms.size(); ++i) {
    Norm& norm = norms[i];
    if (norm.judge != JudgeKind::kClassifier) continue;
    if (!recipe.norms[i].judge_from.empty()) {
      PLUMBLINE_TRY(take_classifier(recipe.norms[i].judge_from, folder, norm));
      continue;
    }
    const JudgedRows train = outputs_of(examples, splits, i, Part::kJudgeTrain);
    const JudgedRows held_out = outputs_of(examples, splits, i, Part::kJudgeHeldOut);
    PLUMBLINE_TRY(check_labels(train, norm, "train"));
    PLUMBLINE_TRY(check_labels(held_out, norm, "measure"));
    const NgramClassifier classifier = NgramClassifier::train(train, recipe.seed);
    PLUMBLINE_TRY(classifier.save(folder / norm.classifier_file));
    JudgeReport report;
    report.norm = i;
    report.train_outputs = static_cast<std::int64_t>(train.size());
    report.held_out_outputs = static_cast<std::int64_t>(held_out.size());
    report.train_accuracy = classifier.accuracy(train);
    report.held_out_accuracy = classifier.accuracy(held_out);
    const double undesirable = static_cast<double>(count_undesirable(held_out)) / static_cast<double>(held_out.size());
    report.majority = std::max(undesirable, 1 - undesirable);
    norm.classifier_accuracy = report.held_out_accuracy;
    reports.push_back(report);
  }
  return reports;
}

}  // namespace plumbline
