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
  else
    return found->is_number_integer() ? found->template get<T>() : otherwise;
}

}  // namespace

RunRecord replay(const std::vector<JournalEntry>& entries) {
  RunRecord run;
  for (const auto& [seq, time, event, data] : entries) {
    if (event == "coordinator_started") run.outcome.clear();
    if (event == "run_stopped") run.outcome = "stopped";
    if (event == "run_finished") run.outcome = "finished";
    if (event == "run_failed") run.outcome = "failed";
    if (event == "generation_started") {
      run.generation = Generation(member<std::uint64_t>(data, "generation", run.generation.value()));
      if (run.fingerprint.empty()) run.fingerprint = member<std::string>(data, "fingerprint", "");
    }
    if (event == "checkpoint_committed")
      run.checkpoint = {Step(member<std::int64_t>(data, "step", 0)), member<std::string>(data, "weights_sha256", "")};
  }
  return run;
}

}  // namespace plumbline
