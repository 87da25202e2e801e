// A tiny run for the tests of training and evaluation: three norms with three objectives, dropout, clipping and AdamW.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "tests/common/plan/tiny_dataset.hpp"
#include "tests/worker/ranks.hpp"
#include "worker/evaluate.hpp"
#include "worker/reference.hpp"
#include "worker/share.hpp"
#include "worker/trainer.hpp"

namespace plumbline {

struct TinyRun {
  ScratchFolder folder;
  RunConfig config;
  Dataset dataset = TinyDataset(40).write(folder.path() / "data");

  TinyRun() {
    at::set_num_threads(1);
    config.seed = 5;
    config.model.d_model = 16, config.model.d_kv = 4, config.model.d_ff = 24;
    config.model.num_layers = 2, config.model.num_decoder_layers = 2, config.model.num_heads = 3;
    config.model.dropout_rate = 0.1;
    config.train.steps = 6, config.train.global_batch = 24, config.train.lanes = 12;
    config.train.micro_batch_tokens = 40, config.train.max_source_tokens = 8, config.train.max_output_tokens = 8;
    config.optimizer.learning_rate = 0.01, config.optimizer.weight_decay = 0.01, config.optimizer.warmup_steps = 2;
    config.optimizer.clip_norm = 0.5;
    config.evaluate.examples = 6, config.evaluate.generations = 4, config.evaluate.max_new_tokens = 6;
    config.evaluate.batch_rows = 4;
  }
  [[nodiscard]] std::unique_ptr<T5> start_model(at::Device device = at::kCPU) const {
    auto model = std::make_unique<T5>(config.model, device, precision_of(config.train));
    model->set_activations(activations_of(config.train));
    model->initialize(config.seed);
    return model;
  }
  [[nodiscard]] Plan plan() const {
    return Plan::make(config.train, config.seed, dataset.train(), objectives_of(config, dataset.info())).value();
  }
  /// All rows, kept in a folder of this name.
  [[nodiscard]] ReferenceWork reference_work(const std::string& kept_in = "reference") const {
    ReferenceWork work;
    work.dataset = &dataset;
    for (std::int64_t row = 0; row < dataset.train().size(); ++row) work.train_rows.push_back(row);
    for (std::int64_t row = 0; row < dataset.held_out().size(); ++row) work.held_out_rows.push_back(row);
    work.max_source_tokens = config.train.max_source_tokens;
    work.max_output_tokens = config.train.max_output_tokens;
    work.fingerprint = "test " + config.train.precision;  // Its products' type is part of a worker's too.
    for (const NormObjective& norm : norm_objectives(config, dataset.info()).value())
      work.objectives.push_back(norm.objective);
    work.folders = {folder.path() / kept_in};
    return work;
  }
  /// Of all rows; groups of different sizes do not read each other's.
  [[nodiscard]] References references(const T5& model, Collective& collective) const {
    return prepare_references(model, reference_work("reference-" + std::to_string(collective.size())), collective)
        .value();
  }
};

}  // namespace plumbline
