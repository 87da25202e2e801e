#include "worker/model/adapter.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>

#include "common/config/adapter_config.hpp"
#include "common/core/json.hpp"
#include "worker/model/layers.hpp"
#include "worker/model/model_parts.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {

namespace {

constexpr const char* kPrefix = "base_model.model.";  // peft wraps a model twice
constexpr const char* kA = ".lora_A.weight";
constexpr const char* kB = ".lora_B.weight";

/// "encoder.block.0.layer.0.SelfAttention.q.weight" -> "base_model.model.encoder.block.0.layer.0.SelfAttention.q".
std::string module_of(const std::string& weight) { return kPrefix + weight.substr(0, weight.rfind('.')); }

bool is_target(const std::string& weight, const LoraConfig& config) {
  return std::any_of(config.targets.begin(), config.targets.end(),
                     [&](const std::string& target) { return weight.ends_with("." + target + ".weight"); });
}

std::vector<ParameterSpec> specs_of(const LoraConfig& config, const Parameters& model) {
  std::vector<ParameterSpec> specs;
  for (const auto& spec : model.specs())
    if (is_target(spec.name, config)) {
      specs.push_back({module_of(spec.name) + kA, {config.rank, spec.shape[1]}});
      specs.push_back({module_of(spec.name) + kB, {spec.shape[0], config.rank}});
    }
  return specs;
}

}  // namespace

Adapter::Adapter(const LoraConfig& config, const Parameters& model)
    : config_(config), parameters_(specs_of(config, model), model.flat().device(), model.compute_type()) {}

void Adapter::initialize(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(layers::mix(layers::mix(seed)));
  parameters_.flat().zero_();
  for (const auto& spec : parameters_.specs()) {
    if (!spec.name.ends_with(kA)) continue;
    const double bound = 1.0 / std::sqrt(static_cast<double>(spec.shape[1]));
    at::Tensor value = at::empty({spec.size()}, at::kFloat);
    value.uniform_(-bound, bound, generator);
    parameters_.flat().narrow(0, spec.offset, spec.size()).copy_(value);
  }
}

bool Adapter::is_beside(const std::string& weight) const { return parameters_.has(module_of(weight) + kA); }

LowRank Adapter::beside(const std::string& weight) const {
  const std::string a = module_of(weight) + kA, b = module_of(weight) + kB;
  return {parameters_.get(a),     parameters_.get(b),           parameters_.compute(a),
          parameters_.compute(b), config_.alpha / config_.rank, {}};
}

at::Tensor Adapter::merged(const std::string& weight, const at::Tensor& w) const {
  const at::NoGradGuard no_grad;
  return beside(weight).merged_with(w);
}

std::vector<NamedTensor> adapter_tensors(const Adapter& adapter) {
  std::vector<NamedTensor> tensors;
  for (const auto& spec : adapter.parameters().specs())
    tensors.push_back({spec.name, adapter.parameters().get(spec.name).detach()});
  return tensors;
}

std::string adapter_config_text(const Adapter& adapter) { return to_peft_config(adapter.config()).dump(2) + "\n"; }

Status save_adapter(const Adapter& adapter, const std::filesystem::path& folder) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec) return run_error("the folder cannot be made: " + ec.message(), folder.string());
  PLUMBLINE_TRY(write_file_atomically(folder / kAdapterConfigFile, adapter_config_text(adapter)));
  return write_safetensors(folder / kAdapterFile, adapter_tensors(adapter));
}

Status load_adapter(Adapter& adapter, const std::filesystem::path& folder) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_TRY(check_adapter(adapter.config(), folder));
  const std::string where = (folder / kAdapterFile).string(),
                    hint = "The adapter must be one of the start model, with lora.rank and lora.targets.";
  PLUMBLINE_ASSIGN(const auto tensors, read_safetensors(folder / kAdapterFile));
  for (const auto& spec : adapter.parameters().specs()) {
    const auto found = tensors.find(spec.name);
    if (found == tensors.end()) return data_error("the tensor " + spec.name + " is missing", where, hint);
    if (!found->second.is_floating_point() || found->second.sizes() != at::IntArrayRef(spec.shape))
      return data_error("the tensor " + spec.name + " has shape " + c10::str(found->second.sizes()) + ", not " +
                            c10::str(at::IntArrayRef(spec.shape)),
                        where, hint);
  }
  for (const auto& [name, tensor] : tensors)
    if (!adapter.parameters().has(name))
      return data_error("the tensor " + name + " is not part of this adapter", where, hint);
  // The copy widens F16 and BF16, which is exact.
  for (const auto& spec : adapter.parameters().specs())
    adapter.parameters().flat().narrow(0, spec.offset, spec.size()).copy_(tensors.at(spec.name).reshape({-1}));
  return {};
}

}  // namespace plumbline
