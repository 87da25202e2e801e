#include "coordinator/serve/progress.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace plumbline {
namespace {

constexpr double kSmoothing = 0.1;  ///< weight of the newest step

double number(const Json& line, const char* key) {
  const auto found = line.find(key);
  const double value = found != line.end() && found->is_number() ? found->get<double>() : 0;
  return std::isfinite(value) ? value : 0;
}

void smooth(double& average, double newest) {
  if (newest <= 0) return;
  average = average == 0 ? newest : (1 - kSmoothing) * average + kSmoothing * newest;
}

Json member(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found == line.end() ? Json() : *found;
}

}  // namespace

void Progress::add(const Json& line) {
  if (!line.is_object()) return;
  const Json kind = member(line, "kind");
  if (kind == "heldout") held_out_ = line;
  if (kind != "train") return;
  train_ = line;
  step_ = static_cast<std::int64_t>(number(line, "step"));
  smooth(tokens_per_second_, number(line, "tokens_per_second"));
  smooth(step_seconds_, number(line, "seconds"));
}

Json Progress::describe(std::int64_t steps) const {
  Json status{{"step", step_},
              {"epoch", member(train_, "epoch")},
              {"loss", member(train_, "loss")},
              {"norms", train_.contains("norms") ? train_.at("norms") : Json::object()},
              {"heldout", Json()},
              {"tokens_per_second", Json()},
              {"eta_seconds", Json()}};
  if (!held_out_.empty())
    status["heldout"] = {{"step", member(held_out_, "step")}, {"norms", member(held_out_, "norms")}};
  if (tokens_per_second_ > 0) status["tokens_per_second"] = tokens_per_second_;
  if (step_seconds_ > 0)
    status["eta_seconds"] = step_seconds_ * static_cast<double>(std::max<std::int64_t>(steps - step_, 0));
  return status;
}

}  // namespace plumbline
