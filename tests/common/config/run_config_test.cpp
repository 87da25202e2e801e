#include "common/config/run_config.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace plumbline {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::filesystem::path kConfigs = std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "configs";

RunConfig config_of(const std::string& yaml, const std::vector<Override>& overrides = {}) {
  return parse_run_config(yaml, "run.yaml", overrides).value();
}
std::string config_error(const std::string& yaml, const std::vector<Override>& overrides = {}) {
  const auto result = parse_run_config(yaml, "run.yaml", overrides);
  if (result) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  return to_string(result.error());
}

TEST(RunConfig, DefaultsAreTheStructs) {
  RunConfig expected;
  expected.data = "d";
  EXPECT_EQ(config_of("data: d\n"), expected);
}

TEST(RunConfig, ReadsEverySection) {
  const RunConfig c = config_of(R"(
name: tiny
seed: 18446744073709551615
data: data
model: {d_model: 32, dropout_rate: 0.1, feed_forward_proj: relu, tie_word_embeddings: true}
train: {steps: 12, global_batch: 24, lanes: 12}
norms:
  detoxify: {objective: dpo, weight: 2, beta: 0.5}
  other:
optimizer: {learning_rate: 3.0e-3, schedule: linear}
evaluate: {every: 6}
checkpoint: {every: 4, keep: 3}
snapshot: {sizes: [8, 2, 1]}
workers: {count: 2, launcher: mpirun}
control: {bind: "::1", port: 0}
)");
  EXPECT_EQ(c.name, "tiny");
  EXPECT_EQ(c.seed, 18446744073709551615ull);
  EXPECT_EQ(c.model.d_model, 32);
  EXPECT_EQ(c.model.feed_forward_proj, "relu");
  EXPECT_TRUE(c.model.tie_word_embeddings);
  EXPECT_EQ(c.train.steps, 12);
  EXPECT_EQ(c.norms.at("detoxify").objective, Objective::kDpo);
  EXPECT_EQ(c.norms.at("detoxify").weight, 2.0);
  EXPECT_EQ(c.norms.at("other"), NormTraining{});
  EXPECT_EQ(c.optimizer.schedule, "linear");
  EXPECT_EQ(c.snapshot.sizes, (std::vector<int>{8, 2, 1}));
  EXPECT_EQ(c.workers.launcher, "mpirun");
}

TEST(RunConfig, ComparesWithOtherRunsByName) {
  const RunConfig c =
      config_of("data: d\ncompare: {continued: runs/one, other-2: \"a b\"}\n", {{"compare.third", "runs/three"}});
  const std::map<std::string, std::string> expected{
      {"continued", "runs/one"}, {"other-2", "a b"}, {"third", "runs/three"}};
  EXPECT_EQ(c.compare, expected);
  EXPECT_EQ(config_of(to_yaml(c)), c);
  EXPECT_EQ(to_json(c).at("compare").at("other-2"), "a b");
  EXPECT_TRUE(config_of("data: d\ncompare:\n").compare.empty());
  EXPECT_THAT(config_error("data: d\ncompare: [a]\n"), HasSubstr("compare must be a map"));
  EXPECT_THAT(config_error("data: d\ncompare:\n  a: \"\"\n"), AllOf(HasSubstr("run.yaml:3"), HasSubstr("is empty")));
  EXPECT_THAT(config_error("data: d\ncompare: {a: [b]}\n"), HasSubstr("compare.a must be text"));
  EXPECT_THAT(config_error("data: d\ncompare: {aligned: runs/one}\n"),
              AllOf(HasSubstr("aligned"), HasSubstr("for something else")));
  EXPECT_THAT(config_error("data: d\ncompare: {\"a b\": runs/one}\n"), HasSubstr("1 to 64 letters"));
}

TEST(RunConfig, TheOptimizersHaveTheirOwnDefaultOfBeta1) {
  EXPECT_EQ(beta1_of(config_of("data: d\n").optimizer), 0.9);
  EXPECT_EQ(beta1_of(config_of("data: d\noptimizer: {name: adafactor}\n").optimizer), 0.0);
  const RunConfig c = config_of("data: d\noptimizer: {name: adafactor, beta1: 0.5, scale_parameter: true}\n");
  EXPECT_EQ(beta1_of(c.optimizer), 0.5);
  EXPECT_EQ(config_of(to_yaml(c)), c);
  EXPECT_THAT(config_error("data: d\noptimizer: {name: sgd}\n"), HasSubstr("adamw or adafactor"));
  EXPECT_THAT(config_error("data: d\noptimizer: {beta1: 1}\n"), HasSubstr("below 1"));
}

TEST(RunConfig, ReadsTheAdaptersOfLora) {
  const RunConfig c = config_of("data: d\nlora: {rank: 8, alpha: 4.5, dropout: 0.1, targets: [wo, q, wi_0]}\n");
  EXPECT_EQ(c.lora.rank, 8);
  EXPECT_EQ(c.lora.targets, (std::vector<std::string>{"wo", "q", "wi_0"}));
  EXPECT_EQ(config_of(to_yaml(c)), c);
  EXPECT_EQ(to_json(c).at("lora").at("targets"), Json::parse(R"(["wo", "q", "wi_0"])"));
  EXPECT_EQ(config_of("data: d\n").lora.rank, 0);
  EXPECT_EQ(config_of("data: d\nlora: {rank: 2}\n", {{"lora.targets", "[k]"}}).lora.targets,
            (std::vector<std::string>{"k"}));
  EXPECT_THAT(config_error("data: d\nlora:\n  targets: [q, qq]\n"),
              AllOf(HasSubstr("run.yaml:3"), HasSubstr("lora.targets[1]"), HasSubstr("wi_1 or wo")));
  EXPECT_THAT(config_error("data: d\nlora: {targets: q}\n"), HasSubstr("lora.targets must be a list"));
  EXPECT_THAT(config_error("data: d\nlora: {rank: 1, targets: []}\n"), HasSubstr("at least one projection"));
  EXPECT_THAT(config_error("data: d\nlora: {rank: 1, targets: [q, q]}\n"), HasSubstr("each given once"));
  EXPECT_THAT(config_error("data: d\nlora: {init: runs/adapter}\n"), HasSubstr("lora.rank is 0"));
  EXPECT_THAT(config_error("data: d\nlora: {rank: -1}\n"), HasSubstr("at least 0"));
  EXPECT_THAT(config_error("data: d\nlora: {alpha: 0}\n"), HasSubstr("above 0"));
}

TEST(RunConfig, ErrorsNamePlaceAndKey) {
  EXPECT_THAT(config_error("data: d\ntrain:\n  stepz: 12\n"),
              AllOf(HasSubstr("run.yaml:3"), HasSubstr("train.stepz"), HasSubstr("train.steps?")));
  EXPECT_THAT(config_error("data: d\nseed: five\n"), AllOf(HasSubstr("run.yaml:2"), HasSubstr("seed")));
  EXPECT_THAT(config_error("data: d\nseed: -1\n"), HasSubstr("at least 0"));
  EXPECT_THAT(config_error("data: d\ntrain: 7\n"), HasSubstr("train must be a map"));
  EXPECT_THAT(config_error("data: d\nnorms: [a]\n"), HasSubstr("norms must be a map"));
  EXPECT_THAT(config_error("data: d\nnorms: {a: {objective: dbo}}\n"),
              AllOf(HasSubstr("norms.a.objective"), HasSubstr("cpo or simpo")));
  EXPECT_THAT(config_error("data: d\noptimizer: {learning_rate: 0}\n"), HasSubstr("above 0"));
  EXPECT_THAT(config_error("data: d\noptimizer: {schedule: cosin}\n"),
              HasSubstr("cosine, linear, inverse_sqrt or constant"));
  EXPECT_THAT(config_error("data: d\nsnapshot: {sizes: [8, 0]}\n"), HasSubstr("snapshot.sizes[1]"));
  EXPECT_THAT(config_error("data: d\ncontrol: {port: 65536}\n"), HasSubstr("control.port"));
  EXPECT_THAT(config_error("data: d\nworkers: {device: tpu}\n"), HasSubstr("auto, cpu or cuda"));
  EXPECT_THAT(config_error("data: d\nname: \"\"\n"), HasSubstr("name is empty"));
  EXPECT_THAT(config_error("- a\n"), HasSubstr("must be a map"));
}

TEST(RunConfig, DataMustBeGiven) {
  EXPECT_THAT(config_error(""), AllOf(HasSubstr("run.yaml"), HasSubstr("data is missing"), HasSubstr("curate")));
  EXPECT_EQ(config_of("", {{"data", "d"}}).data, "d");
}

TEST(RunConfig, ChecksWhatMustAgree) {
  EXPECT_THAT(config_error("data: d\ntrain: {lanes: 12, global_batch: 8}\n"), HasSubstr("train.lanes"));
  EXPECT_THAT(config_error("data: d\nworkers: {count: 13}\n"),
              AllOf(HasSubstr("workers.count is 13"), HasSubstr("lanes")));
  EXPECT_EQ(config_error("data: d\nworkers: {count: 2, launcher: local}\n"), "no error");
  EXPECT_THAT(config_error("data: d\nworkers: {count: 2, min: 3}\n"), HasSubstr("workers.min is 3"));
  EXPECT_THAT(config_error("data: d\nmodel: {relative_attention_num_buckets: 33}\n"), HasSubstr("even"));
  EXPECT_THAT(config_error("data: d\nmodel: {relative_attention_num_buckets: 256}\n"),
              HasSubstr("relative_attention_max_distance"));
  EXPECT_THAT(config_error("data: d\nsnapshot: {sizes: []}\n"), HasSubstr("snapshot.sizes"));
  EXPECT_THAT(config_error("data: d\nsnapshot: {sizes: [2, 2]}\n"), HasSubstr("snapshot.sizes"));
  for (const char* evaluate : {"patience: 2", "patience: 2, every: 5", "patience: 2, judged: 5"})
    EXPECT_THAT(config_error(fmt::format("data: d\nevaluate: {{{}}}\n", evaluate)),
                HasSubstr("evaluate.patience needs"));
  EXPECT_THAT(config_error("data: d\ncheckpoint: {keep_best: 1}\n"),
              HasSubstr("checkpoint.keep_best needs evaluate.every"));
  EXPECT_EQ(config_error("data: d\ncontrol: {heartbeat_ms: 500, worker_timeout_ms: 0}\n"), "no error") << "automatic";
  EXPECT_THAT(config_error("data: d\ncontrol: {heartbeat_ms: 500, worker_timeout_ms: 500}\n"),
              HasSubstr("control.worker_timeout_ms"));
}

TEST(RunConfig, ListensOnAnAddressAndOnLoopbackByDefault) {
  EXPECT_EQ(config_of("data: d\n").control.bind, "127.0.0.1");
  for (const char* address : {"127.0.0.1", "::1", "0.0.0.0", "::", "192.168.0.1"})
    EXPECT_EQ(config_of("data: d\n", {{"control.bind", fmt::format("\"{}\"", address)}}).control.bind, address);
  for (const char* address : {"localhost", "127.0.0.1.example", "127.0.0.1:80", "eth0", "1.2.3", ""})
    EXPECT_THAT(config_error("data: d\n", {{"control.bind", fmt::format("\"{}\"", address)}}),
                HasSubstr("control.bind"))
        << address;
}

TEST(RunConfig, OverridesAreYamlAndTheLastOneWins) {
  const std::string yaml = "data: d\ntrain: {steps: 5}\n";
  EXPECT_EQ(config_of(yaml, {{"train.steps", "7"}, {"train.steps", "9"}}).train.steps, 9);
  EXPECT_EQ(config_of(yaml, {{"snapshot.sizes", "[4, 1]"}}).snapshot.sizes, (std::vector<int>{4, 1}));
  EXPECT_EQ(config_of(yaml, {{"norms.a.beta", "0.5"}}).norms.at("a").beta, 0.5);
  EXPECT_EQ(config_of(yaml, {{"name", "\"12\""}}).name, "12");
}

TEST(RunConfig, ABadOverrideIsNamedAsTheOption) {
  const std::string yaml = "data: d\ntrain: {steps: 5}\n";
  EXPECT_THAT(config_error(yaml, {{"train.lanes", "many"}}),
              AllOf(HasSubstr("--set train.lanes"), HasSubstr("\"many\"")));
  EXPECT_THAT(config_error(yaml, {{"train.lanez", "4"}}),
              AllOf(HasSubstr("--set train.lanez"), HasSubstr("train.lanes?")));
  EXPECT_THAT(config_error(yaml, {{"train.steps.more", "4"}}), HasSubstr("--set train.steps.more"));
  EXPECT_THAT(config_error(yaml, {{"name", ""}}), HasSubstr("no value"));
  EXPECT_THAT(config_error(yaml, {{"name", "[a"}}), HasSubstr("--set name"));
}

TEST(RunConfig, ACheckpointBringsItsArchitecture) {
  const std::string yaml = "data: d\nmodel: {d_model: 32}\n";
  EXPECT_THAT(config_error(yaml, {{"model.init", "runs/base"}}),
              AllOf(HasSubstr("model.d_model"), HasSubstr("run.yaml:2")));
  const RunConfig c = config_of(yaml, {{"model", "{init: runs/base}"}});
  EXPECT_EQ(c.model.init, "runs/base");
  EXPECT_EQ(c.model.d_model, ModelConfig{}.d_model);
  EXPECT_EQ(to_json(c).at("model"), (Json{{"init", "runs/base"}}));
  EXPECT_EQ(config_of(to_yaml(c)), c);
}

TEST(RunConfig, WrittenYamlReadsBackEqual) {
  RunConfig c;
  c.name = "a \"name\": with # YAML's\n[worst] \xE2\x80\xA6 'characters' \\ \t\x01";
  c.data = "null";
  c.seed = 18446744073709551615ull;
  c.optimizer.learning_rate = 0.1 + 0.2;
  c.optimizer.epsilon = 5e-324;
  c.model.dropout_rate = 1.0 / 3;
  c.norms["detoxify"].objective = Objective::kUnlikelihood;
  c.norms["detoxify"].weight = 0.25;
  c.norms["1: odd"].label_smoothing = 0.1;
  c.norms["~"] = {};
  c.snapshot.sizes = {7};
  EXPECT_EQ(config_of(to_yaml(c)), c);
  for (const char* data : {"yes", "-", "--", "12", "1e3", ".5", ".inf", "~", "./here", "../there", "/abs/path", "a b",
                           "a:b", "é", "*x", "&x", "!t", "<<"}) {
    c.data = data;
    EXPECT_EQ(config_of(to_yaml(c)), c) << data;
  }
}

TEST(RunConfig, JsonHasTheKeysOfTheYaml) {
  RunConfig c;
  c.norms["a"].objective = Objective::kDpo;
  const Json json = to_json(c);
  EXPECT_EQ(json.at("train").at("steps"), 1000);
  EXPECT_EQ(json.at("norms").at("a").at("objective"), "dpo");
  EXPECT_FALSE(json.at("norms").at("a").contains("weight"));
  EXPECT_EQ(json.at("snapshot").at("sizes"), (Json{32, 8, 2, 1}));
  EXPECT_EQ(json.at("model").at("feed_forward_proj"), "gated-gelu");
}

TEST(RunConfig, TheProjectsConfigurationsLoad) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kConfigs)) {
    if (entry.path().extension() != ".yaml") continue;
    const auto config = load_run_config(entry.path(), {});
    EXPECT_TRUE(config) << (config ? "" : to_string(config.error()));
    ++count;
  }
  EXPECT_GE(count, 3);
}

TEST(RunConfig, AMissingFileIsAUsageError) {
  const auto result = load_run_config("absent.yaml", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(result.error()), HasSubstr("absent.yaml"));
}

TEST(Objective, NamesGoBothWays) {
  for (const Objective objective : {Objective::kSft, Objective::kUnlikelihood, Objective::kDpo, Objective::kIpo,
                                    Objective::kKto, Objective::kOrpo, Objective::kCpo, Objective::kSimpo})
    EXPECT_EQ(parse_objective(to_string(objective), "x").value(), objective);
  const auto unknown = parse_objective("ppo", "norm polite");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(to_string(unknown.error()), AllOf(HasSubstr("norm polite"), HasSubstr("ppo"),
                                                HasSubstr("sft, unlikelihood, dpo, ipo, kto, orpo, cpo or simpo")));
}

}  // namespace
}  // namespace plumbline
