// LoRA adapters: against peft (tests/parity/make_lora_goldens.py), and their files.
#include "worker/model/adapter.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "common/config/adapter_config.hpp"
#include "tests/worker/golden.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kByPeft = fs::path(PLUMBLINE_SOURCE_DIR) / "tests/parity/goldens/lora";

LoraConfig of_peft() {
  LoraConfig lora;
  lora.rank = 3, lora.alpha = 5, lora.targets = {"q", "v", "o", "wi_1"};
  return lora;
}

/// goldens/gated with the adapter that peft made beside it.
struct Adapted {
  Golden golden{"gated"};
  std::map<std::string, at::Tensor> by_peft = read_safetensors(kByPeft / "golden.safetensors").value();

  Adapted() {
    golden.model->add_adapter(of_peft());
    load_adapter(*golden.model->adapter(), kByPeft).value();
  }
  [[nodiscard]] T5& model() const { return *golden.model; }
  /// The largest difference of the logits from peft's, in units of their largest.
  [[nodiscard]] double error_of(const at::Tensor& logits) const {
    const at::Tensor& theirs = by_peft.at("logits");
    return largest_difference(logits, theirs) / theirs.abs().max().item<double>();
  }
  [[nodiscard]] at::Tensor logits(const T5& with, std::optional<DropoutKey> key = {}) const {
    const at::Tensor mask = golden.source_mask();
    const at::Tensor states =
        with.decode(shift_right(golden["desired"]), with.encode(golden["source"], mask, key), mask, key);
    return with.logits(states);
  }
};

TEST(AdapterTest, ComputesWhatPeftComputes) {
  const Adapted adapted;
  at::Tensor gradient = adapted.model().trained().new_flat();
  adapted.model().trained().bind_gradient(gradient);
  const at::Tensor logits = adapted.logits(adapted.model());
  EXPECT_LT(adapted.error_of(logits), 1e-5);
  EXPECT_GT(largest_difference(logits, adapted.golden["logits"]), 0.1) << "the adapter does something";
  logits.square().mean().backward();
  for (const auto& spec : adapted.model().trained().specs()) {
    const at::Tensor& theirs = adapted.by_peft.at("gradient." + spec.name);
    const at::Tensor ours = gradient.narrow(0, spec.offset, spec.size()).view(spec.shape);
    EXPECT_LT(largest_difference(ours, theirs), 1e-4 * theirs.abs().max().item<double>()) << spec.name;
  }
}

TEST(AdapterTest, ComesBackFromItsFilesBitForBit) {
  const Adapted adapted;
  const TemporaryFolder folder;
  save_adapter(*adapted.model().adapter(), folder.path()).value();
  const auto theirs = read_safetensors(kByPeft / kAdapterFile).value();
  const auto ours = read_safetensors(folder.path() / kAdapterFile).value();
  EXPECT_EQ(ours.size(), theirs.size());
  for (const auto& [name, tensor] : theirs) EXPECT_TRUE(ours.at(name).equal(tensor)) << name;
  Adapter again(of_peft(), adapted.model().parameters());
  load_adapter(again, folder.path()).value();
  EXPECT_TRUE(again.parameters().flat().equal(adapted.model().trained().flat()));
}

TEST(AdapterTest, MergedWeightsComputeTheSameWithoutIt) {
  const Adapted adapted;
  const TemporaryFolder folder;
  save_model(adapted.model(), folder.path()).value();
  const auto merged = load_model(folder.path(), at::kCPU).value();
  EXPECT_EQ(merged->adapter(), nullptr);
  EXPECT_LT(adapted.error_of(adapted.logits(*merged)), 1e-5);
}

TEST(AdapterTest, BeginsAsTheModelAndAsPeftInitialises) {
  Adapted adapted;
  Adapter& adapter = *adapted.model().adapter();
  adapter.initialize(7);
  const at::Tensor first = adapter.parameters().flat().clone();
  EXPECT_TRUE(adapted.logits(adapted.model()).equal(adapted.logits(*Golden("gated").model)));
  for (const auto& spec : adapter.parameters().specs()) {
    const at::Tensor& value = adapter.parameters().get(spec.name);
    if (spec.name.find("lora_B") != std::string::npos) {
      EXPECT_EQ(value.abs().max().item<double>(), 0) << spec.name;
      continue;
    }
    const double bound = 1 / std::sqrt(static_cast<double>(spec.shape[1]));
    EXPECT_LE(value.abs().max().item<double>(), bound) << spec.name;
    EXPECT_NEAR(value.square().mean().item<double>(), bound * bound / 3, 0.12 * bound * bound)
        << "uniform: " << spec.name;
  }
  adapter.initialize(7);
  EXPECT_TRUE(adapter.parameters().flat().equal(first));
  adapter.initialize(8);
  EXPECT_FALSE(adapter.parameters().flat().equal(first));
}

TEST(AdapterTest, DropoutIsTheAdaptersOwnAndOfTheKey) {
  Adapted adapted;
  LoraConfig dropping = of_peft();
  dropping.dropout = 0.5;
  T5 model(adapted.model().config(), at::kCPU);
  model.parameters().flat().copy_(adapted.model().parameters().flat());
  model.add_adapter(dropping);
  load_adapter(*model.adapter(), kByPeft).value();
  EXPECT_TRUE(adapted.logits(model).equal(adapted.logits(adapted.model()))) << "only in training";
  const at::Tensor dropped = adapted.logits(model, DropoutKey{1});
  EXPECT_FALSE(dropped.equal(adapted.logits(model)));
  EXPECT_TRUE(dropped.equal(adapted.logits(model, DropoutKey{1})));
  EXPECT_FALSE(dropped.equal(adapted.logits(model, DropoutKey{2})));
}

/// The gradient of a loss by all that is trained, in direction `along`, against differences of the loss.
TEST(AdapterTest, ItsGradientsAreThoseOfItsLossWithDropoutTooAndComputedAnew) {
  Adapted adapted;
  LoraConfig dropping = of_peft();
  dropping.dropout = 0.3, dropping.targets = {"q", "k", "v", "o", "wi_0", "wi_1", "wo"};
  T5 model(adapted.model().config(), at::kCPU);
  model.parameters().flat().copy_(adapted.model().parameters().flat());
  model.add_adapter(dropping);
  const std::int64_t n = model.trained().flat_size();
  model.trained().flat().copy_(at::arange(n).mul(0.7).sin().mul(0.2));
  const auto gradient_of = [&](Activations activations) {
    model.set_activations(activations);
    at::Tensor gradient = model.trained().new_flat();
    model.trained().bind_gradient(gradient);
    adapted.logits(model, DropoutKey{3}).square().mean().backward();
    return gradient;
  };
  const at::Tensor gradient = gradient_of(Activations::kKeep);
  EXPECT_TRUE(gradient_of(Activations::kRecompute).equal(gradient));
  const at::NoGradGuard no_grad;
  const at::Tensor along = at::arange(n).mul(1.3).cos();
  const auto loss_at = [&](double t) {
    model.trained().flat().add_(along, t);
    const double loss = adapted.logits(model, DropoutKey{3}).to(at::kDouble).square().mean().item<double>();
    model.trained().flat().sub_(along, t);
    return loss;
  };
  constexpr double h = 4e-4;  // Differences of the fourth order: the loss bends within what fp32 resolves.
  const double slope = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
  double expected = 0;
  for (const auto& spec : model.trained().specs())
    expected += gradient.narrow(0, spec.offset, spec.size())
                    .to(at::kDouble)
                    .dot(along.narrow(0, spec.offset, spec.size()).to(at::kDouble))
                    .item<double>();
  EXPECT_NEAR(slope, expected, 5e-3 * std::abs(expected));
}

TEST(AdapterTest, WhatDoesNotFitIsRefusedByName) {
  const Adapted adapted;
  const TemporaryFolder folder;
  const std::string q = "base_model.model.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight";
  const auto refused = [&](auto change) {
    Adapter adapter(of_peft(), adapted.model().parameters());
    fs::copy_file(kByPeft / kAdapterConfigFile, folder.path() / kAdapterConfigFile,
                  fs::copy_options::overwrite_existing);
    auto tensors = read_safetensors(kByPeft / kAdapterFile).value();
    change(tensors);
    std::vector<NamedTensor> named;
    for (const auto& [name, tensor] : tensors) named.push_back({name, tensor});
    write_safetensors(folder.path() / kAdapterFile, named).value();
    const auto status = load_adapter(adapter, folder.path());
    EXPECT_EQ(adapter.parameters().flat().abs().max().item<float>() == 0, status.has_error());
    return status.has_error() ? to_string(status.error()) : "no error";
  };
  EXPECT_EQ(refused([](auto&) {}), "no error");
  EXPECT_EQ(refused([&](auto& t) { t[q] = t[q].to(at::kHalf); }), "no error");
  EXPECT_THAT(refused([&](auto& t) { t.erase(q); }), HasSubstr(q + " is missing"));
  EXPECT_THAT(refused([&](auto& t) { t[q] = at::zeros({3, 5}); }), HasSubstr(q + " has shape [3, 5], not [3, 32]"));
  EXPECT_THAT(refused([&](auto& t) { t[q] = t[q].to(at::kLong); }), HasSubstr(q));
  EXPECT_THAT(refused([](auto& t) { t["base_model.model.lm_head.lora_A.weight"] = at::zeros({1}); }),
              HasSubstr("lm_head.lora_A.weight is not part of this adapter"));
  LoraConfig other = of_peft();
  other.rank = 2;
  Adapter adapter(other, adapted.model().parameters());
  EXPECT_EQ(load_adapter(adapter, kByPeft).error().code, ErrorCode::kUsage);
  EXPECT_THAT(load_adapter(adapter, folder.path() / "none").error().where, HasSubstr("none"));
}

}  // namespace
}  // namespace plumbline
