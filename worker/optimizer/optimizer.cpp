#include "worker/optimizer/optimizer.hpp"

#include "common/core/check.hpp"
#include "worker/optimizer/adafactor.hpp"
#include "worker/optimizer/adamw.hpp"

namespace plumbline {

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, Parameters& parameters) {
  if (config.name == "adafactor") return std::make_unique<Adafactor>(config, parameters);
  PLUMBLINE_CHECK(config.name == "adamw", "there is no optimizer " + config.name);
  return std::make_unique<AdamW>(config, parameters);
}

bool decays(const std::string& parameter) {
  return parameter.find("layer_norm") == std::string::npos &&
         parameter.find("relative_attention_bias") == std::string::npos;
}

}  // namespace plumbline
