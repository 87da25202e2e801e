#include <algorithm>

#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

/// The member `key`, or `otherwise` where it is absent or of another type: a replay reads what older programs wrote.
template <class T>
T member(const Json& data, const char* key, T otherwise) {
  const auto found = data.find(key);
  if (found == data.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>)
    return found->is_string() ? found->template get<T>() : otherwise;
  else if constexpr (std::is_floating_point_v<T>)
    return found->is_number() ? found->template get<T>() : otherwise;
  else
    return found->is_number_integer() ? found->template get<T>() : otherwise;
}

}  // namespace

RunRecord replay(const std::vector<JournalEntry>& entries) {
  RunRecord run;
  const auto forget_rates_beyond = [&](std::int64_t step) {
    while (!run.rates.empty() && run.rates.back().step > step) run.rates.pop_back();
  };
  for (const auto& [seq, time, event, data] : entries) {
    if (event == "coordinator_started") run.outcome.clear();
    if (event == "run_stopped") run.outcome = "stopped";
    if (event == "run_finished") run.outcome = "finished";
    if (event == "run_failed") run.outcome = "failed";
    if (event == "generation_started") {
      run.generation = Generation(member<std::uint64_t>(data, "generation", run.generation.value()));
      run.group = member<std::string>(data, "group", "");
      if (run.fingerprint.empty()) run.fingerprint = member<std::string>(data, "fingerprint", "");
      forget_rates_beyond(member<std::int64_t>(data, "start_step", 0));
    }
    if (event == "snapshot_aggregated") run.pictured = std::max(run.pictured, member<std::int64_t>(data, "step", -1));
    if (event == "rate_measured") {
      const auto step = member<std::int64_t>(data, "step", 0);
      forget_rates_beyond(step - 1);
      run.rates.push_back({step, member<double>(data, "rate", 1.0)});
    }
    // What comes for a step voids what the run had of it and of later ones: training was taken up before it.
    if (event == "checkpoint_committed" || event == "checkpoint_set_aside") {
      const Step step(member<std::int64_t>(data, "step", 0));
      std::erase_if(run.commits, [&](const CommittedCheckpoint& commit) { return commit.step >= step; });
      if (event == "checkpoint_committed")
        run.commits.push_back({step, member<std::string>(data, "weights_sha256", "")});
    }
  }
  if (!run.commits.empty()) run.checkpoint = run.commits.back();
  return run;
}

}  // namespace plumbline
