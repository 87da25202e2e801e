// Every key of a run's configuration, once: name, bounds, meaning (the default is the struct's). A visitor that walks
// describe(visitor, config) reads YAML, writes YAML or JSON, or prints docs/configuration.md. Of this room only.
//
// A visitor has
//   key(name, value, rule, meaning)      value: a number, bool, string, list or optional; rule: one of those below
//   section(name, struct, meaning)       describe()d in its turn
//   sections(name, map, meaning)         name -> struct
//   texts(name, map, meaning)            name -> text
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/config/yaml_reader.hpp"

namespace plumbline {

inline constexpr const char* kRandomInit = "random";

struct AnyText {};
struct TrueOrFalse {};
struct Choices {
  std::vector<std::string> names;
};

/// A number whose default depends on other keys.
struct BoundsOr {
  Bounds bounds;
  std::string fallback;
};

/// What a checkpoint's config.json says too, under the same names.
template <class Visitor>
void describe_architecture(Visitor& v, ModelConfig& c) {
  v.key("vocab_size", c.vocab_size, Bounds{.min = 4, .max = 1 << 20},
        "token ids that the model knows; the byte tokenizer needs 384");
  v.key("d_model", c.d_model, Bounds{.min = 1, .max = 1 << 16}, "width of the hidden states");
  v.key("d_kv", c.d_kv, Bounds{.min = 1, .max = 1 << 12}, "width of one attention head");
  v.key("d_ff", c.d_ff, Bounds{.min = 1, .max = 1 << 20}, "width inside the feed-forward layers");
  v.key("num_layers", c.num_layers, Bounds{.min = 1, .max = 512}, "encoder layers");
  v.key("num_decoder_layers", c.num_decoder_layers, Bounds{.min = 1, .max = 512}, "decoder layers");
  v.key("num_heads", c.num_heads, Bounds{.min = 1, .max = 1024}, "attention heads");
  v.key("relative_attention_num_buckets", c.relative_attention_num_buckets, Bounds{.min = 4, .max = 1 << 16},
        "buckets of relative positions, an even number; as many as `relative_attention_max_distance` make more "
        "positions exact, which copying and aligning need");
  v.key("relative_attention_max_distance", c.relative_attention_max_distance, Bounds{.min = 2, .max = 1 << 20},
        "positions further apart share a bucket; more than half of `relative_attention_num_buckets`");
  v.key("dropout_rate", c.dropout_rate, Bounds{.min = 0, .below = 1}, "share of activations dropped in training");
  v.key("layer_norm_epsilon", c.layer_norm_epsilon, Bounds{.above = 0, .max = 1}, "added under RMSNorm's root");
  v.key(
      "feed_forward_proj", c.feed_forward_proj, Choices{feed_forward_names()},
      "feed-forward layer: gated-gelu (T5 v1.1, FLAN-T5, mT5, ByT5; as in HF Transformers it is gated-gelu_new), relu "
      "(T5 v1.0), or another activation, plain or gated");
  v.key("tie_word_embeddings", c.tie_word_embeddings, TrueOrFalse{},
        "use the input embedding as the output layer too (T5 v1.0)");
}

/// Why relative positions cannot be put into buckets; nothing when they can.
inline std::optional<std::string> wrong_buckets(const ModelConfig& c) {
  if (c.relative_attention_num_buckets % 2 != 0)
    return "relative_attention_num_buckets must be even: half of the encoder's buckets look back, half look ahead";
  if (2 * static_cast<std::int64_t>(c.relative_attention_max_distance) <= c.relative_attention_num_buckets)
    return "relative_attention_max_distance must be more than half of relative_attention_num_buckets: the decoder's "
           "first half of the buckets is exact, and the rest reaches up to that distance";
  return std::nullopt;
}

template <class Visitor>
void describe(Visitor& v, ModelConfig& c) {
  v.key("init", c.init, AnyText{},
        "`random`, or a folder with `config.json` and `model.safetensors` (or its shards) to start from (a checkpoint, "
        "or a T5 or mT5 model of HF Transformers); its `config.json` then gives the architecture, and no other key of "
        "`model` may be set");
  if (c.init == kRandomInit) describe_architecture(v, c);
}

template <class Visitor>
void describe(Visitor& v, LoraConfig& c) {
  v.key("rank", c.rank, Bounds{.min = 0, .max = kMaxLoraRank},
        "rank of the adapters; 0: no adapters, all weights are trained");
  v.key("init", c.init, AnyText{},
        "`random` (the adapted model begins as the start model), or a folder with `adapter_config.json` and "
        "`adapter_model.safetensors`, of peft or of a checkpoint (its `adapter/`), with the same rank, alpha and "
        "targets");
  v.key("alpha", c.alpha, Bounds{.above = 0, .max = kMaxLoraAlpha},
        "what an adapter computes is multiplied by `alpha / rank`");
  v.key("dropout", c.dropout, Bounds{.min = 0, .below = 1}, "share of an adapter's inputs dropped in training");
  v.key("targets", c.targets, Choices{lora_target_names()},
        "projections that have an adapter, in every layer of both stacks: of attention q, k, v, o; of the feed-forward "
        "layers wi and wo, or wi_0, wi_1 and wo where they are gated");
}

template <class Visitor>
void describe(Visitor& v, NormTraining& c) {
  v.key("objective", c.objective, Choices{objective_names()}, "loss that the norm trains with");
  v.key("weight", c.weight, Bounds{.min = 0, .max = 1e6}, "multiplies the norm's loss; 0 leaves the norm untrained");
  v.key(
      "beta", c.beta, BoundsOr{Bounds{.above = 0, .max = 1e3}, "`0.1`; simpo: `2`"},
      "dpo, ipo, kto: how strongly the model is held to the reference; cpo, simpo: how steeply the loss falls with the "
      "margin; orpo: weight of the odds-ratio term");
  v.key("label_smoothing", c.label_smoothing, Bounds{.min = 0, .below = 0.5},
        "dpo, cpo, simpo: share of the preferences that is taken to be the wrong way round");
  v.key(
      "sft_weight", c.sft_weight, Bounds{.min = 0, .max = 1e6},
      "all but sft: weight of the added sft term on the desired output. The papers of dpo, ipo, kto and simpo have no "
      "such term, those of cpo and orpo have it with weight 1");
  v.key("pair_tokens", c.pair_tokens, Choices{{"all", "differing"}},
        "which tokens a pair is compared by: all, or those between the beginning and the end that desired and "
        "undesired output share (at least the token where they part). It concerns every objective that reads "
        "undesired outputs but kto, which has no pairs; the sft term always has all tokens");
  v.key("dpo_variant", c.dpo_variant, Choices{{"sigmoid", "robust"}},
        "dpo: sigmoid, or robust, which corrects for a share of `label_smoothing` of wrong preferences");
  v.key("dpo_positive_lambda", c.dpo_positive_lambda, Bounds{.min = 0, .max = 1e6},
        "dpo: DPO-Positive's penalty when a desired output becomes less likely than under the reference (its paper: "
        "5 to 500); 0 is dpo without it");
  v.key("simpo_gamma", c.simpo_gamma, Bounds{.min = 0, .max = 1e3},
        "simpo: margin that a pair should have, in units of the reward");
  v.key("kto_desired_weight", c.kto_desired_weight, Bounds{.min = 0, .max = 1e6},
        "kto: weight of the loss of desired outputs; more than 1 balances a norm with fewer of them");
  v.key("kto_undesired_weight", c.kto_undesired_weight, Bounds{.min = 0, .max = 1e6},
        "kto: weight of the loss of undesired outputs");
  v.key("unlikelihood_level", c.unlikelihood_level, Choices{{"token", "sequence"}},
        "unlikelihood: token makes each token of an undesired output unlikely, sequence the output as a whole");
  v.key("unlikelihood_alpha", c.unlikelihood_alpha, Bounds{.min = 0, .max = 1e6},
        "unlikelihood: weight of the term on the undesired output");
}

template <class Visitor>
void describe(Visitor& v, TrainConfig& c) {
  v.key("steps", c.steps, Bounds{.min = 1, .max = 1e9}, "optimizer steps");
  v.key("global_batch", c.global_batch, Bounds{.min = 1, .max = 1 << 20},
        "examples of one optimizer step, whatever the number of workers");
  v.key("lanes", c.lanes, Bounds{.min = 1, .max = 16384},
        "fixed slices of the global batch, and the most workers that the run can use; part of what fixes the weights' "
        "bits. 12 divides evenly among 1, 2, 3, 4 and 6 workers");
  v.key("micro_batch_tokens", c.micro_batch_tokens, Bounds{.min = 1, .max = 1 << 30},
        "padded source and output tokens that are computed together; less needs less memory. A longer example is "
        "computed alone");
  v.key("max_source_tokens", c.max_source_tokens, Bounds{.min = 2, .max = 1 << 20},
        "a longer source loses its beginning; the end-of-text token counts");
  v.key("max_output_tokens", c.max_output_tokens, Bounds{.min = 2, .max = 1 << 20},
        "a longer output loses its end; the end-of-text token counts");
  v.key("precision", c.precision, Choices{{"fp32", "bf16"}},
        "what matrix products are made in, in training and evaluation; weights, gradients' sums, norms, softmax and "
        "losses are fp32 either way. bf16 is about twice as fast where the processor has it (AVX512-BF16, AMX, GPUs "
        "since Ampere) and slow where it has not");
  v.key("activations", c.activations, Choices{{"keep", "recompute"}},
        "what the backward pass finds: keep all that it needs, or recompute (gradient checkpointing): each half of a "
        "layer keeps its input only. The same bits in less memory and about a third more time");
}

template <class Visitor>
void describe(Visitor& v, OptimizerConfig& c) {
  v.key(
      "name", c.name, Choices{{"adamw", "adafactor"}},
      "adamw, or adafactor, which needs far less memory: for the moments of a matrix a number for each row and column");
  v.key("learning_rate", c.learning_rate, Bounds{.above = 0, .max = 1e3}, "highest learning rate");
  v.key("beta1", c.beta1, BoundsOr{Bounds{.min = 0, .below = 1}, "`0.9`; adafactor: `0`"},
        "decay of the mean of gradients (adafactor: of steps); with `0` adafactor keeps no such mean");
  v.key("beta2", c.beta2, Bounds{.min = 0, .below = 1}, "adamw: decay of the mean of squared gradients");
  v.key("epsilon", c.epsilon, Bounds{.above = 0, .max = 1}, "adamw: added to the denominator");
  v.key("weight_decay", c.weight_decay, Bounds{.min = 0, .max = 1e3},
        "decoupled weight decay; norm weights and relative position biases do not decay");
  v.key("scale_parameter", c.scale_parameter, TrueOrFalse{},
        "adafactor: multiply each parameter's steps by its root mean square (at least 0.001); `learning_rate` is then "
        "relative to the size of the weights");
  v.key("clip_norm", c.clip_norm, Bounds{.min = 0, .max = 1e9},
        "gradients of a larger 2-norm are scaled down to it; 0 turns clipping off");
  v.key("schedule", c.schedule, Choices{{"cosine", "linear", "inverse_sqrt", "constant"}},
        "course of the learning rate after the warm-up");
  v.key("warmup_steps", c.warmup_steps, Bounds{.min = 0, .max = 1e9}, "steps of linear rise to `learning_rate`");
  v.key("final_fraction", c.final_fraction, Bounds{.min = 0, .max = 1},
        "cosine and linear end at this fraction of `learning_rate`");
}

template <class Visitor>
void describe(Visitor& v, EvaluateConfig& c) {
  v.key("every", c.every, Bounds{.min = 0, .max = 1e9},
        "steps between measurements on held-out examples: of the loss, and with `evaluate.judged` of the undesirable "
        "rate; 0: at the start and the end only");
  v.key("examples", c.examples, Bounds{.min = 1, .max = 1 << 20}, "held-out examples of each norm for the loss");
  v.key("generations", c.generations, Bounds{.min = 1, .max = 1 << 20},
        "held-out examples of each norm that the model answers at the start and the end");
  v.key(
      "judged", c.judged, Bounds{.min = 0, .max = 1 << 20},
      "held-out examples of each norm that the model answers at every measurement, for the norm's judge; none of them "
      "is among those of `evaluate.generations`, which the report is about");
  v.key("patience", c.patience, Bounds{.min = 0, .max = 1e6},
        "early stopping: training ends when this many measurements in a row bring no lower undesirable rate (the mean "
        "over the norms) than one before, the start model's included; the weights are those of that step. Needs "
        "`evaluate.every` and `evaluate.judged`; 0: trains to the last step");
  v.key("max_new_tokens", c.max_new_tokens, Bounds{.min = 1, .max = 1 << 16}, "longest answer");
  v.key("batch_rows", c.batch_rows, Bounds{.min = 1, .max = 1 << 16},
        "examples that are evaluated together, whatever the number of workers; on a GPU also those whose reference "
        "log-probs are computed together");
}

template <class Visitor>
void describe(Visitor& v, CheckpointConfig& c) {
  v.key("every", c.every, Bounds{.min = 1, .max = 1e9},
        "steps between checkpoints; one is always written at the end and at a stop");
  v.key("keep", c.keep, Bounds{.min = 1, .max = 1e6},
        "newest checkpoints kept; an older one is removed once a newer one is committed, unless `keep_every` or "
        "`keep_best` keeps it");
  v.key("keep_every", c.keep_every, Bounds{.min = 0, .max = 1e9},
        "checkpoints of steps that are multiples of it are kept for good, and where a fault cost one, the next in its "
        "place; 0: none");
  v.key("keep_best", c.keep_best, Bounds{.min = 0, .max = 1e6},
        "of the checkpoints whose step was measured on held-out examples, this many of the best are kept too: by the "
        "undesirable rate where `evaluate.judged` has one, else by the loss, the mean over the norms, and of equals "
        "the earlier. Needs `evaluate.every`");
}

template <class Visitor>
void describe(Visitor& v, SnapshotConfig& c) {
  v.key("every", c.every, Bounds{.min = 0, .max = 1e9}, "steps between snapshots; 0: at the end only");
  v.key("examples", c.examples, Bounds{.min = 1, .max = 1 << 20},
        "size of the fixed probe set, taken from the held-out examples");
  v.key("sizes", c.sizes, Bounds{.min = 1, .max = 1 << 16}, "compressed sizes that the report shows");
}

template <class Visitor>
void describe(Visitor& v, WorkersConfig& c) {
  v.key("count", c.count, Bounds{.min = 1, .max = 16384}, "workers; `--workers` sets it too");
  v.key("launcher", c.launcher, Choices{{"auto", "local", "mpirun", "srun", "external"}},
        "what starts them: local (on this machine, each by itself: when one dies the others go on), mpirun (one group, "
        "started again as a whole), srun (as local, on the hosts of a Slurm job), external (a person does); auto takes "
        "local, or mpirun for several workers where they "
        "may compute on GPUs; `--launcher` sets it too");
  v.key("min", c.min, Bounds{.min = 1, .max = 1e6},
        "with launcher local or srun: training waits for others when fewer are left; at most `count`");
  v.key(
      "spares", c.spares, Bounds{.min = 0, .max = 1024},
      "with launcher local or srun: more workers, that hold dataset and model ready and take the place of one that is "
      "lost at once; each wants memory and, while it prepares, a core");
  v.key("threads", c.threads, Bounds{.min = 1, .max = 1024},
        "compute threads of a worker; part of what fixes the weights' bits");
  v.key("device", c.device, Choices{{"auto", "cpu", "cuda"}},
        "where workers compute; auto takes a GPU when there is one");
  v.key("peak_gflops", c.peak_gflops, Bounds{.min = 0, .max = 1e9},
        "the most GFLOP/s that one worker's device can reach, which `mfu` in metrics.jsonl is a share of (`./plumbline "
        "bench` measures a processor's); 0: unknown, no `mfu`");
  v.key(
      "max_restarts", c.max_restarts, Bounds{.min = 0, .max = 1e6},
      "with launcher mpirun: restarts of a group that died, without a new checkpoint in between, before the run fails; "
      "with local and srun: how often a worker may end before it takes part until it is left out, and how many losses "
      "in a row without a step are made good at once");
}

template <class Visitor>
void describe(Visitor& v, ControlConfig& c) {
  v.key("bind", c.bind, AnyText{},
        "IP address that the coordinator listens on: the default for this machine alone, one of its own addresses, or "
        "`0.0.0.0` or `::` for all of them ([security](security.md))");
  v.key("port", c.port, Bounds{.min = 0, .max = 65535}, "its port; 0: any free one");
  v.key("heartbeat_ms", c.heartbeat_ms, Bounds{.min = 1, .max = 3.6e6},
        "milliseconds between a worker's signs of life");
  v.key(
      "worker_timeout_ms", c.worker_timeout_ms, Bounds{.min = 0, .max = 8.64e7},
      "a worker that is silent for longer is taken for dead; more than `heartbeat_ms`; 0: 4000 with launcher local or "
      "srun, 60000 with the others");
  v.key("orphan_ms", c.orphan_ms, Bounds{.min = 0, .max = 8.64e7},
        "with launcher local or srun: how long workers whose coordinator has died wait for `plumbline resume` to bring "
        "another, and train as far as their lease goes; 0: they end with it");
}

template <class Visitor>
void describe(Visitor& v, RunConfig& c) {
  v.key("name", c.name, AnyText{}, "what the report calls the run");
  v.key("seed", c.seed, Bounds{.min = 0}, "fixes the weights at the start, the order of the examples and dropout");
  v.key("data", c.data, AnyText{},
        "dataset folder made by `plumbline curate`, relative to the working directory; `--data` sets it too");
  v.section("model", c.model, "A T5 encoder-decoder, under the names of its `config.json` in HF Transformers.");
  v.section(
      "lora", c.lora,
      "Low-rank adapters (LoRA). With `rank` above 0 the start model stays as it is, and only adapters beside its "
      "projections are trained.");
  v.section("train", c.train, "Steps and batches.");
  v.sections("norms", c.norms,
             "How each norm trains, by the norm's name in the dataset. What is not set here, objective and weight too, "
             "is taken from the dataset or the default.");
  v.section("optimizer", c.optimizer, "The optimizer and its learning rate.");
  v.section("evaluate", c.evaluate, "What is measured on held-out examples.");
  v.texts("compare", c.compare,
          "directory of a finished run whose final outputs the summary and the report show beside this run's, under "
          "this name; it answered the same held-out examples (of the same dataset or one with the same held-out part, "
          "with the same `seed` and at least as many `evaluate.generations`)");
  v.section("checkpoint", c.checkpoint, "When the run's state is saved.");
  v.section("snapshot", c.snapshot, "Pooled encoder vectors of a fixed probe set.");
  v.section("workers", c.workers, "Who computes, and where.");
  v.section("control", c.control, "The connection between coordinator and workers.");
}

}  // namespace plumbline
