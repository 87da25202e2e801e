// The configuration of a run: plain structs whose defaults are the documented defaults. YAML becomes a RunConfig once,
// at the edge (load_run_config); nothing else in Plumbline sees YAML. Each field's key, meaning and bounds stand once,
// in run_config_keys.hpp's describe() functions, from which parsing, `--set`, the resolved config.yaml
// and docs/configuration.md are all made.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

/// T5's hyper-parameters, under the names of HF's config.json.
struct ModelConfig {
  std::string init =
      "random";  ///< "random", or the path of a checkpoint folder (config.json, model.safetensors) to start from;
                 ///< with a folder the architecture below is read from its config.json and must not be given
  int vocab_size = 384;
  int d_model = 128;
  int d_kv = 32;
  int d_ff = 256;
  int num_layers = 2;  ///< encoder
  int num_decoder_layers = 2;
  int num_heads = 4;
  int relative_attention_num_buckets = 32;
  int relative_attention_max_distance = 128;
  double dropout_rate = 0.0;
  double layer_norm_epsilon = 1e-6;
  std::string feed_forward_proj = "gated-gelu";  ///< an activation, or "gated-" and one; see feed_forward_of
  bool tie_word_embeddings = false;
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// What feed_forward_proj names. Gated: act(x W0) * (x W1), else act(x W); then W_o.
enum class Activation { kRelu, kGelu, kGeluNew, kSilu };  ///< gelu is exact, gelu_new its tanh approximation
struct FeedForward {
  Activation activation = Activation::kGeluNew;
  bool gated = true;
};
/// The names that feed_forward_proj may have.
std::vector<std::string> feed_forward_names();
/// As HF reads the name: "gated-gelu" is gelu_new. A name that is none of feed_forward_names() is a bug.
FeedForward feed_forward_of(const std::string& name);

inline constexpr int kMaxLoraRank = 4096;
inline constexpr double kMaxLoraAlpha = 1e6;

/// Low-rank adapters (Hu et al. 2021) beside projections of the start model, which then stays as it is.
struct LoraConfig {
  int rank = 0;                 ///< 0: all weights are trained, and there are no adapters
  std::string init = "random";  ///< "random", or the path of an adapter folder of this rank, alpha and targets
  double alpha = 16;
  double dropout = 0.0;
  std::vector<std::string> targets = {"q", "v"};  ///< some of lora_target_names()
  friend bool operator==(const LoraConfig&, const LoraConfig&) = default;
};
/// Names of projections, as HF's T5 has them.
std::vector<std::string> lora_target_names();

enum class Objective { kSft, kUnlikelihood, kDpo, kIpo, kKto, kOrpo, kCpo, kSimpo };
/// Their names, in the order in which people read of them.
std::vector<std::string> objective_names();

/// How one norm trains. Norms of the dataset that a config does not mention take the dataset's objective and weight.
struct NormTraining {
  std::optional<Objective> objective;
  std::optional<double> weight;              ///< multiplies the norm's loss
  std::optional<double> beta;                ///< objectives of pairs; else default_beta()
  double label_smoothing = 0.0;              ///< dpo, cpo, simpo
  double sft_weight = 1.0;                   ///< all but sft: weight of the added sft term on the desired output
  double unlikelihood_alpha = 1.0;           ///< unlikelihood: weight of its own term
  std::string unlikelihood_level = "token";  ///< unlikelihood: token or sequence
  std::string pair_tokens = "all";           ///< all or differing: whose log-probs pairs are compared by
  std::string dpo_variant = "sigmoid";       ///< sigmoid or robust
  double dpo_positive_lambda = 0.0;          ///< dpo: above 0 it is DPO-Positive
  double simpo_gamma = 0.5;                  ///< simpo: target margin
  double kto_desired_weight = 1.0;           ///< kto: of the loss of desired outputs
  double kto_undesired_weight = 1.0;         ///< kto: of the loss of undesired outputs
  friend bool operator==(const NormTraining&, const NormTraining&) = default;
};

struct TrainConfig {
  std::int64_t steps = 1000;
  int global_batch = 96;                   ///< examples an optimizer step
  int lanes = 12;                          ///< fixed slices of the global batch; the most workers a run can use
  std::int64_t micro_batch_tokens = 4096;  ///< padded source + output tokens of one micro-batch
  int max_source_tokens = 512;             ///< longer sources are cut; EOS included
  int max_output_tokens = 512;             ///< longer outputs are cut; EOS included
  std::string precision = "fp32";          ///< of products: fp32 or bf16; weights and sums are fp32
  std::string activations = "keep";        ///< for the backward pass: keep or recompute
  friend bool operator==(const TrainConfig&, const TrainConfig&) = default;
};

struct OptimizerConfig {
  std::string name = "adamw";  ///< adamw, adafactor
  double learning_rate = 1e-3;
  std::optional<double> beta1;  ///< else as beta1_of() says
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  bool scale_parameter = false;     ///< adafactor: steps relative to the size of each parameter
  double clip_norm = 1.0;           ///< 0 turns clipping off
  std::string schedule = "cosine";  ///< cosine, linear, inverse_sqrt, constant
  std::int64_t warmup_steps = 0;
  double final_fraction = 0.0;  ///< cosine and linear end at this fraction of learning_rate
  friend bool operator==(const OptimizerConfig&, const OptimizerConfig&) = default;
};

/// The decay of the mean of gradients: AdamW's paper has 0.9, Adafactor's keeps no such mean (0).
double beta1_of(const OptimizerConfig& optimizer);

struct EvaluateConfig {
  std::int64_t every = 0;  ///< held-out loss every this many steps (and at the start and end); 0: start and end only
  int examples = 128;      ///< held-out examples a norm for the loss
  int generations = 128;   ///< held-out examples a norm to generate for (start and end)
  int judged = 0;    ///< held-out examples a norm, apart from those, to generate for and judge at each measurement
  int patience = 0;  ///< such measurements in a row without a new lowest undesirable rate that end training; 0: none
  int max_new_tokens = 256;
  int batch_rows = 32;  ///< rows that are evaluated and generated together, whatever the number of workers
  friend bool operator==(const EvaluateConfig&, const EvaluateConfig&) = default;
};

struct CheckpointConfig {
  std::int64_t every = 100;     ///< steps; one is always written at the end and at a stop
  int keep = 2;                 ///< newest checkpoints kept; older ones are removed after a newer one is committed
  std::int64_t keep_every = 0;  ///< those of steps that are multiples of it are kept for good; 0: none
  int keep_best = 0;            ///< of those measured on held-out examples, this many of the best are kept too
  friend bool operator==(const CheckpointConfig&, const CheckpointConfig&) = default;
};

struct SnapshotConfig {
  std::int64_t every = 0;                  ///< steps; 0: at the end only
  int examples = 256;                      ///< size of the fixed probe set, taken from the held-out split
  std::vector<int> sizes = {32, 8, 2, 1};  ///< compressed sizes that the report shows
  friend bool operator==(const SnapshotConfig&, const SnapshotConfig&) = default;
};

struct WorkersConfig {
  int count = 1;
  int min = 1;                    ///< launcher local: with fewer, training waits for others
  int spares = 0;                 ///< launchers local and srun: more workers, prepared, until one is lost
  std::string launcher = "auto";  ///< auto, local, mpirun, external
  int threads = 1;                ///< compute threads a worker; part of the numeric fingerprint
  std::string device = "auto";    ///< auto, cpu, cuda
  double peak_gflops = 0;         ///< the most that one worker's device can reach, for MFU; 0: unknown
  int max_restarts = 3;           ///< restarts in a row without progress before the run fails
  friend bool operator==(const WorkersConfig&, const WorkersConfig&) = default;
};

struct ControlConfig {
  std::string bind = "127.0.0.1";  ///< an IP address of this machine, or 0.0.0.0 or :: for all
  int port = 0;                    ///< 0: any free port
  int heartbeat_ms = 250;
  int worker_timeout_ms = 0;  ///< a worker silent for longer is taken for dead; 0: as worker_timeout() says
  int orphan_ms = 60000;      ///< workers of an elastic group wait this long for another coordinator; 0: not at all
  friend bool operator==(const ControlConfig&, const ControlConfig&) = default;
};

/// Losing a worker costs an elastic group a fraction of a second, and a static one a new start: 4 s and 60 s, unless
/// the configuration says otherwise.
std::chrono::milliseconds worker_timeout(const ControlConfig& control, bool elastic);

struct RunConfig {
  std::string name = "run";
  std::uint64_t seed = 1;
  std::string data;  ///< dataset folder made by `plumbline curate`
  ModelConfig model;
  LoraConfig lora;
  TrainConfig train;
  std::map<std::string, NormTraining> norms;
  OptimizerConfig optimizer;
  EvaluateConfig evaluate;
  std::map<std::string, std::string> compare;  ///< name -> directory of a finished run on the same held-out rows
  CheckpointConfig checkpoint;
  SnapshotConfig snapshot;
  WorkersConfig workers;
  ControlConfig control;
  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

/// "key.path=value" as given by --set; the value is YAML.
struct Override {
  std::string key, value;
};

/// Read, override, check. Errors name file, line and key; an unknown key names the nearest known one.
Result<RunConfig> load_run_config(const std::filesystem::path& file, const std::vector<Override>& overrides);
/// From text, `where` standing for the file name in errors.
Result<RunConfig> parse_run_config(const std::string& yaml, const std::string& where,
                                   const std::vector<Override>& overrides);
/// What no single key can say (a worker needs a lane, …). load and parse have checked this; call it after a change.
Status check_run_config(const RunConfig& config, const std::string& where);
/// The resolved configuration as YAML that load_run_config reads back to an equal struct.
std::string to_yaml(const RunConfig& config);
/// As JSON with the same keys, for the report. Like to_yaml it leaves out an architecture that a checkpoint gives.
Json to_json(const RunConfig& config);
/// docs/configuration.md, whole (a test compares).
std::string configuration_reference();

Result<Objective> parse_objective(const std::string& name, const std::string& where);
/// The papers' beta.
double default_beta(Objective objective);
std::string to_string(Objective objective);

/// HF's T5 config.json for this model, and back. `from_hf` also takes an mT5's, which computes as an untied T5 does; it
/// refuses what Plumbline does not compute (named key).
Json to_hf_config(const ModelConfig& model);
Result<ModelConfig> from_hf_config(const Json& config, const std::string& where);
/// Whether a model that from_hf_config takes for untied may lack a head of its own in its weights, which the shared
/// embedding then is: Transformers 5 ties where it does not scale.
bool head_may_be_shared(const Json& config);

}  // namespace plumbline
