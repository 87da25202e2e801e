// What save_model and save_adapter write, for whoever writes it another way: names, order and text are the same. The
// tensors are the model's own, or fresh ones (weights that an adapter was merged into). On the thread that computes.
#pragma once
#include <string>
#include <vector>

#include "worker/model/adapter.hpp"
#include "worker/model/safetensors.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

/// model.safetensors, with an adapter merged; config.json.
std::vector<NamedTensor> model_tensors(const T5& model);
std::string model_config_text(const T5& model);
/// adapter_model.safetensors; adapter_config.json.
std::vector<NamedTensor> adapter_tensors(const Adapter& adapter);
std::string adapter_config_text(const Adapter& adapter);

}  // namespace plumbline
