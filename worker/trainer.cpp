#include "worker/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "worker/metrics.hpp"
#include "worker/model/flops.hpp"

namespace plumbline {

namespace {

using Steady = std::chrono::steady_clock;

/// Seconds since `since`, which moves to now.
double lap(Steady::time_point& since) {
  const auto now = Steady::now();
  const double seconds = std::chrono::duration<double>(now - since).count();
  since = now;
  return seconds;
}

/// One key for each micro-batch of a run; the model makes its passes' streams from it.
DropoutKey dropout_key(std::uint64_t seed, std::int64_t step, int lane, std::size_t micro_batch) {
  std::uint64_t key = layers::mix(seed);
  for (const std::uint64_t part :
       {static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(lane), static_cast<std::uint64_t>(micro_batch)})
    key = layers::mix(key ^ part);
  return {key};
}

/// What the model computes for the batch, every output counted that its norm trains on.
double batch_flops(const GlobalBatch& batch, const Split& split, const std::vector<NormObjective>& norms,
                   const ModelConfig& model, const RunConfig& config) {
  const TrainConfig& train = config.train;
  double flops = 0;
  for (const Lane& lane : batch.lanes)
    for (const MicroBatch& micro : lane.micro_batches)
      for (const std::int64_t row : micro.rows) {
        std::vector<std::int64_t> outputs;
        for (const Side side : {Side::kDesired, Side::kUndesired})
          if (split.length(row, side) > 0 && is_used(norms[split.norm(row)].objective, split.kind(row), side))
            outputs.push_back(std::min(split.length(row, side), train.max_output_tokens));
        if (!outputs.empty())
          flops += training_flops(model, std::min(split.length(row, Side::kSource), train.max_source_tokens), outputs,
                                  config.lora);
      }
  return flops;
}

LaneShares whole(const LaneShares& shares, const Collective& collective, int lanes) {
  return shares.empty() ? even_shares(collective.size(), lanes) : shares;
}

/// Sums that lie on the host, where the collective may want them elsewhere.
Status reduce_host(TreeReducer& reducer, const LaneAccumulator& sums, at::Tensor& result) {
  auto partials = sums.partials();
  for (auto& partial : partials) partial = partial.to(result.device());
  return reducer.reduce(partials, result);
}

}  // namespace

Result<std::vector<NormObjective>> norm_objectives(const RunConfig& config, const DatasetInfo& dataset) {
  std::vector<NormObjective> norms;
  std::string known;
  for (const Objective objective : objectives_of(config, dataset)) {
    const Norm& norm = dataset.norms[norms.size()];
    const auto found = config.norms.find(norm.name);
    const NormTraining training = found == config.norms.end() ? NormTraining{} : found->second;
    norms.push_back({.objective = objective,
                     .weight = training.weight.value_or(norm.weight),
                     .beta = training.beta.value_or(default_beta(objective)),
                     .label_smoothing = training.label_smoothing,
                     .sft_weight = training.sft_weight,
                     .unlikelihood_alpha = training.unlikelihood_alpha,
                     .pair_tokens = training.pair_tokens == "differing" ? PairTokens::kDiffering : PairTokens::kAll,
                     .dpo_variant = training.dpo_variant == "robust" ? DpoVariant::kRobust : DpoVariant::kSigmoid,
                     .dpo_positive_lambda = training.dpo_positive_lambda,
                     .simpo_gamma = training.simpo_gamma,
                     .kto_desired_weight = training.kto_desired_weight,
                     .kto_undesired_weight = training.kto_undesired_weight,
                     .unlikelihood_level = training.unlikelihood_level == "sequence" ? UnlikelihoodLevel::kSequence
                                                                                     : UnlikelihoodLevel::kToken});
    known += (known.empty() ? "" : ", ") + norm.name;
  }
  for (const auto& [name, training] : config.norms) {
    bool found = false;
    for (const Norm& norm : dataset.norms) found |= norm.name == name;
    if (!found)
      return usage_error("the dataset has no norm \"" + name + "\"", "norms." + name, "Its norms are: " + known + ".");
  }
  return norms;
}

Result<std::unique_ptr<Trainer>> Trainer::make(const RunConfig& config, const Dataset& dataset,
                                               const RowLogProbs* references, std::unique_ptr<T5> model,
                                               Collective& collective, const LaneShares& shares) {
  PLUMBLINE_ASSIGN(auto norms, norm_objectives(config, dataset.info()));
  PLUMBLINE_ASSIGN(Plan plan,
                   Plan::make(config.train, config.seed, dataset.train(), objectives_of(config, dataset.info())));
  auto optimizer = make_optimizer(config.optimizer, model->trained());
  return std::unique_ptr<Trainer>(new Trainer(config, dataset, references, std::move(model), collective,
                                              whole(shares, collective, config.train.lanes), std::move(norms),
                                              std::move(plan), std::move(optimizer)));
}

std::unique_ptr<Trainer> Trainer::regroup(std::unique_ptr<Trainer> old, Collective& collective,
                                          const LaneShares& shares) {
  const RunConfig config = old->config_;
  const Dataset& dataset = old->dataset_;
  const RowLogProbs* references = old->references_;
  auto model = std::move(old->model_);
  auto norms = std::move(old->norms_);
  Plan plan = std::move(old->plan_);
  auto optimizer = std::move(old->optimizer_);
  old.reset();  // Its buffers are as large as the model: first free, then take.
  return std::unique_ptr<Trainer>(new Trainer(config, dataset, references, std::move(model), collective,
                                              whole(shares, collective, config.train.lanes), std::move(norms),
                                              std::move(plan), std::move(optimizer)));
}

Trainer::Trainer(const RunConfig& config, const Dataset& dataset, const RowLogProbs* references,
                 std::unique_ptr<T5> model, Collective& collective, const LaneShares& shares,
                 std::vector<NormObjective> norms, Plan plan, std::unique_ptr<Optimizer> optimizer)
    : config_(config),
      dataset_(dataset),
      references_(references),
      model_(std::move(model)),
      norms_(std::move(norms)),
      plan_(std::move(plan)),
      lanes_(lanes_of(collective.rank(), shares)),
      ranks_(collective.size()),
      optimizer_(std::move(optimizer)),
      batches_([&dataset, train = config.train,
                device = std::as_const(*model_).parameters().flat().device()](const BatchesAhead::Rows& rows) {
        return make_batch(dataset.train(), rows, train.max_source_tokens, train.max_output_tokens, device);
      }),
      kl_rows_(dataset.train(), norms_, references, config_.train),
      gradients_(lanes_, config.train.lanes, model_->trained().flat_size(), model_->trained().flat().options()),
      sums_(lanes_, config.train.lanes, static_cast<std::int64_t>(num_slots(norms_.size())),
            at::TensorOptions(at::kDouble)),
      kl_sums_(lanes_, config.train.lanes, std::ssize(norms_), at::TensorOptions(at::kDouble)),
      gradient_reducer_(collective, shares, model_->trained().flat_size(), model_->trained().flat().options()),
      sums_reducer_(collective, shares, static_cast<std::int64_t>(num_slots(norms_.size())),
                    model_->trained().flat().options().dtype(at::kDouble)),
      kl_reducer_(collective, shares, std::ssize(norms_), model_->trained().flat().options().dtype(at::kDouble)),
      gradient_(model_->trained().new_flat()),
      sum_(at::zeros({static_cast<std::int64_t>(num_slots(norms_.size()))}, gradient_.options().dtype(at::kDouble))),
      kl_sum_(at::zeros({std::ssize(norms_)}, gradient_.options().dtype(at::kDouble))) {}

Status Trainer::compute_kl(const GlobalBatch& batch, PhaseSeconds& phases) {
  if (!kl_rows_.any()) return {};
  auto clock = Steady::now();
  kl_sums_.reset();
  for (int lane = lanes_.begin; lane < lanes_.end; ++lane) {
    auto* sums = kl_sums_.next_lane().mutable_data_ptr<double>();
    for (const MicroBatch& micro : batch.lanes[static_cast<std::size_t>(lane)].micro_batches)
      kl_rows_.add(*model_, micro.rows, sums);
    kl_sums_.finish_lane();
  }
  phases.forward += lap(clock);
  PLUMBLINE_TRY(reduce_host(kl_reducer_, kl_sums_, kl_sum_));
  kl_ = KlRows::means(kl_sum_.to(at::kCPU).const_data_ptr<double>(), batch.totals);
  phases.reduce += lap(clock);
  return {};
}

void Trainer::compute_lane(const GlobalBatch& batch, int lane, PhaseSeconds& phases) {
  auto clock = Steady::now();
  model_->trained().bind_gradient(gradients_.next_lane());
  auto* slots = sums_.next_lane().mutable_data_ptr<double>();
  const auto& micro_batches = batch.lanes[static_cast<std::size_t>(lane)].micro_batches;
  for (std::size_t m = 0; m < micro_batches.size(); ++m) {
    const Batch micro = batches_.next();
    const ReferenceLogProbs reference = references_ != nullptr ? references_->of(micro) : ReferenceLogProbs{};
    phases.data += lap(clock);
    auto result = compute_objective(*model_, micro, norms_, batch.totals, references_ != nullptr ? &reference : nullptr,
                                    dropout_key(config_.seed, batch.step.value(), lane, m), kl_);
    phases.forward += lap(clock);
    result.loss.backward();
    add_to_slots(result.sums, slots);
    phases.backward += lap(clock);
  }
  gradients_.finish_lane();
  sums_.finish_lane();
  phases.reduce += lap(clock);
}

Result<StepReport> Trainer::step(std::int64_t taken) {
  const auto began = Steady::now();
  auto clock = began;
  StepReport report;
  const GlobalBatch batch = plan_.at(Step(taken));
  report.phases.data += lap(clock);
  PLUMBLINE_TRY(compute_kl(batch, report.phases));
  gradients_.reset();
  sums_.reset();
  std::vector<BatchesAhead::Rows> micro_batches;
  for (int lane = lanes_.begin; lane < lanes_.end; ++lane)
    for (const MicroBatch& micro : batch.lanes[static_cast<std::size_t>(lane)].micro_batches)
      micro_batches.push_back(micro.rows);
  batches_.begin(std::move(micro_batches));
  for (int lane = lanes_.begin; lane < lanes_.end; ++lane) compute_lane(batch, lane, report.phases);
  clock = Steady::now();
  PLUMBLINE_TRY(gradient_reducer_.reduce(gradients_.partials(), gradient_));
  PLUMBLINE_TRY(reduce_host(sums_reducer_, sums_, sum_));
  report.phases.reduce += lap(clock);

  report.step = taken + 1;
  report.epoch =
      static_cast<double>(report.step * config_.train.global_batch) / static_cast<double>(plan_.examples_per_epoch());
  report.sums = from_slots(sum_.to(at::kCPU).const_data_ptr<double>(), norms_.size());
  report.totals = batch.totals;
  report.loss = weighted_loss(norms_, report.sums);
  report.source_tokens = batch.source_tokens;
  report.output_tokens = batch.output_tokens;
  report.model_flops = batch_flops(batch, dataset_.train(), norms_, model_->config(), config_);
  report.peak_flops_per_second = 1e9 * config_.workers.peak_gflops * ranks_;
  report.gradient_norm = gradient_norm(gradient_);
  if (!std::isfinite(report.gradient_norm) || !std::isfinite(report.loss))
    return run_error("the loss or its gradient is not finite at step " + std::to_string(report.step), "training",
                     "Lower optimizer.learning_rate, or set optimizer.clip_norm and optimizer.warmup_steps.");
  report.learning_rate = learning_rate(config_.optimizer, report.step, config_.train.steps);
  const double clip = config_.optimizer.clip_norm;
  const double scale = clip > 0 && report.gradient_norm > clip ? clip / report.gradient_norm : 1.0;
  optimizer_->step(gradient_, scale, report.step, report.learning_rate);
  report.phases.optimizer += lap(clock);
  report.seconds = std::chrono::duration<double>(Steady::now() - began).count();
  return report;
}

}  // namespace plumbline
