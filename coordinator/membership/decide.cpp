#include "coordinator/membership/decide.hpp"

#include <algorithm>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

Decision decide(const RunFacts& facts, RunState state, const Event& event, SteadyTime now) {
  Transition transition(facts, std::move(state), now);
  std::visit([&](const auto& what) { transition.on(what); }, event);
  transition.settle();
  return std::move(transition).result();
}

void Transition::settle() {
  if (facts_.elastic) {
    start_over_when_nothing_is_held();
    fail_when_too_few();
    regroup_when_ready();
    grow_when_possible();
    dismiss_surplus();
    conclude_elastic_when_gone();
  }
  conclude_when_gone();
}

/// What has to happen when nothing happens.
void Transition::on(const event::Tick&) {
  if (facts_.elastic && has_group()) look_for_silence();
  switch (state_.phase) {
    case GroupPhase::kNone:
    case GroupPhase::kOver:
    case GroupPhase::kRegrouping:
      return;
    case GroupPhase::kGathering:
      if (facts_.elastic) return;
      if (state_.world == 0 && !facts_.supervised) return;  // A person takes as long as it takes.
      if (now_ - state_.phase_since <= facts_.join_timeout || state_.verifying) return;
      state_.cause =
          EndCause{EndCause::Kind::kLost,
                   run_error(std::to_string(state_.members.size()) + " of " +
                             std::to_string(state_.world == 0 ? facts_.workers : state_.world) +
                             " workers came within " + std::to_string(facts_.join_timeout.count() / 1000) + " s")};
      return end_group("the group is not complete");
    case GroupPhase::kTraining:
      if (state_.all_finished) {
        if (now_ - state_.finished_at > facts_.finish_grace) end_group("all workers have finished, but do not leave");
        return;
      }
      if (state_.failure && now_ - state_.failure_at > facts_.failure_grace)
        return end_group("a worker failed, and the others do not end by themselves");
      look_for_hangs();
      if (facts_.elastic || state_.phase != GroupPhase::kTraining) return;
      for (const auto& [rank, member] : state_.members) {
        const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - member.last_heard);
        if (member.connected && !member.failed && silence > facts_.worker_timeout)
          return lose(rank, "nothing was heard from it for " + std::to_string(silence.count() / 1000) + " s");
      }
      return;
    case GroupPhase::kEnding:
      if (!state_.exited && state_.end_asked && !state_.killed && now_ - state_.end_asked_at > facts_.terminate_grace)
        end_group("the group did not end when asked", /*by_force=*/true);
      if (state_.exited && now_ - state_.exited_at > facts_.drain_grace && anyone_connected()) drop_orphans();
      return;
  }
}

void Transition::drop_orphans() {
  state_.exited_at = now_;  // Again when that does not help.
  for (const auto& [rank, member] : state_.members)
    if (member.connected)
      act(action::Drop{member.connection, std::nullopt},
          "the launcher has ended, " + rank_name(rank) + " is still there", Tone::kWarning);
  for (const auto& [number, member] : state_.newcomers)
    if (member.connected)
      act(action::Drop{member.connection, std::nullopt},
          "the workers have ended, worker " + std::to_string(number) + " is still there", Tone::kWarning);
}

/// Looks on from where someone was found last: while thousands go one after the other, nobody is passed over twice.
bool Transition::anyone_connected() {
  const auto is_connected = [](const auto& m) { return m.second.connected; };
  const auto begin = state_.members.begin(), end = state_.members.end();
  const auto from = state_.members.lower_bound(state_.seen_connected);
  auto found = std::find_if(from, end, is_connected);
  if (found == end) {
    found = std::find_if(begin, from, is_connected);
    if (found == from) return std::any_of(state_.newcomers.begin(), state_.newcomers.end(), is_connected);
  }
  state_.seen_connected = found->first;
  return true;
}

std::string Transition::rank_name(int rank) const {
  std::string name = "rank " + std::to_string(rank);
  const auto member = state_.members.find(rank);
  if (member != state_.members.end() && member->second.pid > 0)
    name += " (pid " + std::to_string(member->second.pid) + " on " + member->second.host + ")";
  return name;
}

std::string describe_phase(const RunState& state) {
  switch (state.phase) {
    case GroupPhase::kNone:
      return "starting";
    case GroupPhase::kGathering:
      return state.stop_requested ? "stopping" : "waiting for workers";
    case GroupPhase::kTraining: {
      if (state.stop_requested) return "stopping";
      const auto first = state.members.find(0);
      return first == state.members.end() ? "training" : first->second.phase;
    }
    case GroupPhase::kRegrouping:
      return state.stop_requested ? "stopping" : "regrouping";
    case GroupPhase::kEnding:
      return state.stop_requested ? "stopping" : "ending the workers";
    case GroupPhase::kOver:
      return "evaluating";
  }
  return "unknown";
}

}  // namespace plumbline
