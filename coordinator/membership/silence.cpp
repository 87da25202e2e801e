// What has to happen in an elastic group when nothing happens: whoever is not heard from, does not leave a generation
// that is over, or does not come at all, is given up.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

/// For a worker that computes: as long as that has ever taken. A wait ends at once.
std::chrono::milliseconds Transition::leaving_time(const Member& member) const {
  if (!member.beat.waits_in.empty()) return facts_.regroup_timeout;
  return std::max(facts_.regroup_timeout, learned_patience(member.beat.phase).value_or(facts_.regroup_timeout));
}

void Transition::look_for_silence() {
  const auto silence_of = [&](const Member& member) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now_ - member.last_heard);
  };
  const auto seconds = [](std::chrono::milliseconds time) { return std::to_string(time.count() / 1000) + " s"; };
  const auto why_lost = [&](const Member& member) -> std::optional<std::string> {
    if (silence_of(member) > facts_.worker_timeout)
      return "nothing was heard from it for " + seconds(silence_of(member));
    const SteadyTime since = std::max(state_.phase_since, member.moved_at);
    if (state_.phase == GroupPhase::kRegrouping && !member.ready && now_ - since > leaving_time(member))
      return "it did not leave the generation within " + seconds(leaving_time(member));
    return std::nullopt;
  };
  const auto why_newcomer_lost = [&](const Member& member) -> std::optional<std::string> {
    if (silence_of(member) > facts_.worker_timeout)
      return "nothing was heard from it for " + seconds(silence_of(member));
    if (hangs(member)) return "it does not get on in the stage \"" + member.beat.phase + "\"";
    if (member.adopted && !member.ready && now_ - member.moved_at > leaving_time(member))
      return "it did not leave its generation within " + seconds(leaving_time(member));
    return std::nullopt;
  };
  std::vector<int> silent;
  for (const auto& [rank, member] : state_.members)
    if (why_lost(member)) silent.push_back(rank);
  for (const int rank : silent) {
    if (!state_.members.contains(rank) || state_.all_finished) continue;
    if (const auto why = why_lost(state_.members.at(rank))) lose_worker(rank, *why);
  }
  silent.clear();
  for (const auto& [number, member] : state_.newcomers)
    if (why_newcomer_lost(member)) silent.push_back(number);
  for (const int number : silent)
    if (const auto found = state_.newcomers.find(number); found != state_.newcomers.end())
      if (const auto why = why_newcomer_lost(found->second)) lose_newcomer(number, *why);
  kill_who_does_not_come();
}

void Transition::kill_who_does_not_come() {
  const auto is_late = [&](const auto& process) { return now_ - process.second > facts_.join_timeout; };
  if (std::none_of(state_.processes.begin(), state_.processes.end(), is_late)) return;
  const std::set<int> come = numbers_of_members();
  for (auto& [number, launched] : state_.processes) {
    if (now_ - launched <= facts_.join_timeout || come.contains(number) || state_.newcomers.contains(number)) continue;
    launched = now_;
    act(action::KillWorker{number},
        "worker " + std::to_string(number) + " did not come within " +
            std::to_string(facts_.join_timeout.count() / 1000) + " s",
        Tone::kWarning);
  }
}

std::set<int> Transition::numbers_of_members() const {
  std::set<int> numbers;
  for (const auto& [rank, member] : state_.members) numbers.insert(member.number);
  return numbers;
}

}  // namespace plumbline
