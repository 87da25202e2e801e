// How a group ends, what its end means for the run, and the run's end.
//
// A worker that meets an error says so (Failed), leaves, and then the launcher ends the others. A worker that is killed
// says nothing; then another may well fail for its sake and say so. Telling the two apart needs the order: a loss
// without a word is the cause unless a worker that had failed was gone before it. What arrives at once has no order;
// then the launcher's exit status tells, which is that of the worker that ended first. Where that does not tell either,
// the run is tried again, which costs a restart; the other mistake would end a run that could go on.
#include <algorithm>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

void Transition::on(const event::StopRequested& stop) {
  if (state_.phase == GroupPhase::kOver) return;
  if (!state_.stop_requested) {
    state_.stop_requested = true;
    journal("stop_requested", {{"by", stop.by}});
    note("a stop was asked for by " + stop.by);
  }
  if (stop.at_once) {
    if (!has_group() && state_.phase != GroupPhase::kEnding) return;
    if (!state_.cause) state_.cause = EndCause{EndCause::Kind::kStopped, {}};
    return end_group("the stop is not to wait", /*by_force=*/true);
  }
  if (state_.phase == GroupPhase::kTraining) return stop_training();
  // Ending: the end sees it. None, regrouping, taking workers over that may hold steps: the next beginning sees it.
  if (state_.phase != GroupPhase::kGathering || state_.adopting) return;
  state_.cause = EndCause{EndCause::Kind::kStopped, {}};
  end_group("the run is to stop");
}

/// Lets the granted steps be taken and a checkpoint be written, unless every step that is known of is in a checkpoint:
/// then ending at once loses no more than a part of a step, of an evaluation or of the reference.
void Transition::stop_training() {
  if (state_.all_finished) return;
  if (state_.leases.newest() == committed_step()) {
    state_.cause = EndCause{EndCause::Kind::kStopped, {}};
    return end_group("nothing is lost by ending the workers now");
  }
  if (const auto grant = state_.leases.stop())
    grant_all(*grant, "the run stops at step " + std::to_string(grant->end_step));
}

/// Asks the group to end. May be called again; by_force does not ask.
void Transition::end_group(const std::string& reason, bool by_force) {
  if (state_.phase != GroupPhase::kEnding) enter(GroupPhase::kEnding);
  if (!state_.end_asked) state_.end_asked_at = now_;
  state_.end_asked = true;
  state_.killed = state_.killed || by_force;
  if (!state_.assigned) send_away();
  if (facts_.supervised) {
    if (!state_.exited) act(action::EndGroup{state_.killed}, "ending the workers: " + reason, Tone::kInfo);
    return;
  }
  // A group that a person started is not ours to signal: without its coordinator it ends by itself.
  note("ending the workers: " + reason);
  for (const auto& [rank, member] : state_.members)
    if (member.connected) act(action::Drop{member.connection, std::nullopt}, "ending " + rank_name(rank));
}

/// Workers that wait for their welcome learn that there will be none.
void Transition::send_away() {
  const Error why = state_.cause && !state_.cause->error.message.empty() ? state_.cause->error
                                                                         : run_error("the run does not start now");
  for (const auto& [rank, member] : state_.members)
    if (member.connected)
      act(action::Drop{member.connection, Failed{static_cast<int>(why.code), why.message, why.where, why.hint}},
          "no welcome for " + rank_name(rank));
}

/// A failed worker was gone before the present loss: the loss is the launcher's doing.
bool Transition::lost_after_a_failure() const {
  return std::any_of(state_.members.begin(), state_.members.end(),
                     [](const auto& m) { return m.second.failed && !m.second.connected; });
}

void Transition::lose(int rank, const std::string& reason) {
  const Member& member = state_.members.at(rank);
  state_.cause = EndCause{EndCause::Kind::kLost, run_error(rank_name(rank) + " is lost: " + reason)};
  journal("worker_lost", {{"generation", state_.generation.value()},
                          {"rank", rank},
                          {"host", member.host},
                          {"pid", member.pid},
                          {"step", member.step},
                          {"reason", reason}});
  note(rank_name(rank) + " is lost: " + reason, Tone::kWarning);
  end_group("a worker is lost");
}

void Transition::on(const event::ConnectionLost& lost) {
  const std::optional<Place> place = place_of(lost.connection);
  state_.found_at.erase(lost.connection);
  if (!place) return;
  Member& member = *place->member;
  const int rank = place->rank;
  if (facts_.elastic) {
    member.connected = false;
    if (!has_group() || state_.all_finished) return;
    return rank < 0 ? lose_newcomer(member.number, lost.reason) : lose_worker(rank, lost.reason);
  }
  // The search comes last: where thousands go at once, it is of the first one alone.
  const bool expected = member.finished || member.failed || state_.end_asked || state_.cause || lost_after_a_failure();
  member.connected = false;
  if (!expected) lose(rank, lost.reason);
  if (!facts_.supervised && has_group() && !anyone_connected()) enter(GroupPhase::kEnding);
}

void Transition::on(const event::GroupExited& exited) {
  if (state_.exited || (!has_group() && state_.phase != GroupPhase::kEnding)) return;
  state_.exited = exited;
  state_.exited_at = now_;
  note("the workers' launcher " + exited.description,
       state_.end_asked || exited.status == 0 ? Tone::kInfo : Tone::kWarning);
  enter(GroupPhase::kEnding);
}

/// The run fails once its group is gone.
void Transition::fail(Error error) {
  if (!state_.cause || state_.cause->kind != EndCause::Kind::kFailed)
    state_.cause = EndCause{EndCause::Kind::kFailed, std::move(error)};
  if (has_group() || state_.phase == GroupPhase::kEnding) {
    return end_group("the run fails: " + state_.cause->error.message);
  }
  end_failed(state_.cause->error);
}

void Transition::on(const event::RecordFailed& failed) { fail(failed.error); }

/// Nothing of the group is left and nothing of what it wrote is being worked on.
void Transition::conclude_when_gone() {
  if (state_.phase != GroupPhase::kEnding) return;
  const bool gone = (!facts_.supervised || state_.exited) && !anyone_connected();
  const bool settled = state_.storing.empty() && state_.aggregating.empty() && !state_.verifying;
  if (gone && settled) conclude();
}

void Transition::conclude() {
  const std::string how = state_.exited ? state_.exited->description : "is gone";
  journal("generation_ended",
          {{"generation", state_.generation.value()},
           {"reason", state_.all_finished ? "finished"
                      : state_.cause
                          ? (state_.cause->kind == EndCause::Kind::kStopped ? "stopped" : state_.cause->error.message)
                      : state_.failure ? state_.failure->message
                                       : "the group " + how},
           {"exit", state_.exited ? Json(state_.exited->status) : Json()}});
  if (state_.cause && state_.cause->kind == EndCause::Kind::kFailed) return end_failed(state_.cause->error);
  if (state_.all_finished) {
    if (state_.leases.stops()) return end_stopped();
    enter(GroupPhase::kOver);
    return act(action::EndRun{action::Outcome::kFinished, {}}, "the run has finished", Tone::kInfo);
  }
  if (failed_of_its_own()) return end_failed(*state_.failure);
  if (state_.stop_requested) return end_stopped();
  const int status = state_.exited ? state_.exited->status : 0;
  if (!state_.cause && !state_.assigned && (status == 2 || status == 3 || status == 6))
    return end_failed({static_cast<ErrorCode>(status), "the workers did not start: their launcher " + how,
                       facts_.log_place, "What they said is at the end of that file."});
  if (!state_.cause)
    state_.cause =
        EndCause{EndCause::Kind::kLost, run_error("the workers' launcher " + how + " before the run was done")};
  restart_or_fail();
}

/// The failure that a worker reported is not for the sake of a killed one, nor of a group that was being ended. (A real
/// one is met again when the run goes on.)
bool Transition::failed_of_its_own() const {
  if (!state_.failure) return false;
  const int status = state_.exited ? state_.exited->status : 0;
  if (!state_.cause) return status < 128 || state_.end_asked;  // 128 and more: a signal ended a worker first.
  return state_.cause->kind == EndCause::Kind::kLost && status == static_cast<int>(state_.failure->code);
}

void Transition::restart_or_fail() {
  const Error last = state_.cause->error;
  if (!facts_.supervised) return end_failed(death_by_hand(last));
  if (state_.restarts_in_row >= facts_.max_restarts) return end_failed(too_many_deaths(last));
  ++state_.restarts;
  ++state_.restarts_in_row;
  forget_group();
  verify_checkpoint();
  start_group("restart " + std::to_string(state_.restarts_in_row) + " of at most " +
              std::to_string(facts_.max_restarts) + " without a new checkpoint, as " + last.message);
}

Error Transition::too_many_deaths(const Error& last) const {
  return run_error("the workers died " + std::to_string(state_.restarts_in_row + 1) +
                       " times in a row without a new checkpoint; the last time: " + last.message,
                   facts_.log_place,
                   "Look there for the reason. The run keeps its checkpoint of step " +
                       std::to_string(committed_step()) + "; resume it with: " + facts_.resume_command);
}

Error Transition::death_by_hand(const Error& last) const {
  return run_error("the group of workers that was started by hand has died: " + last.message, {},
                   "The run can be resumed from step " + std::to_string(committed_step()) +
                       ". Start its coordinator again:\n    " + facts_.resume_command +
                       "\n  and then the workers:\n    " + facts_.start_command);
}

void Transition::forget_group() {
  enter(GroupPhase::kNone);
  state_.group.clear();
  state_.world = 0;
  state_.members.clear();
  state_.cause.reset();
  state_.failure.reset();
  state_.exited.reset();
  state_.all_finished = state_.end_asked = state_.killed = state_.assigned = false;
  state_.leases = LeaseWindow();
  state_.parts.clear();
  state_.snapshot_ranks.clear();
}

void Transition::end_failed(Error error) {
  enter(GroupPhase::kOver);
  journal("run_failed",
          {{"code", static_cast<int>(error.code)},
           {"message", error.message},
           {"where", error.where},
           {"step", committed_step()}},
          /*required=*/false);
  act(action::EndRun{action::Outcome::kFailed, error}, "the run has failed: " + error.message, Tone::kWarning);
}

void Transition::end_stopped() {
  enter(GroupPhase::kOver);
  journal("run_stopped", {{"step", committed_step()}});
  Error error{
      ErrorCode::kStopped,
      "stopped by request at step " + std::to_string(committed_step()) + "; resume with: " + facts_.resume_command,
      {},
      {}};
  act(action::EndRun{action::Outcome::kStopped, std::move(error)}, "the run has stopped", Tone::kInfo);
}

}  // namespace plumbline
