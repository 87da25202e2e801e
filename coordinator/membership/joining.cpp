// From launching a group to the beginning of its generation.
#include <algorithm>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

namespace {

Member member_of(const event::WorkerCame& came, SteadyTime now) {
  Member member;
  member.connection = came.connection;
  member.host = came.hello.host;
  member.pid = came.hello.pid;
  member.fingerprint = came.hello.fingerprint;
  member.last_heard = now;
  return member;
}

}  // namespace

void Transition::on(const event::Begin&) {
  if (state_.begun) return;
  state_.begun = true;
  if (facts_.elastic && facts_.orphans > 0 && !state_.stop_requested) return adopt();
  start_group("the run begins");
}

void Transition::start_group(const std::string& reason) {
  if (state_.stop_requested) return end_stopped();
  ++state_.generation;
  if (facts_.elastic)
    for (int number = 0; number < facts_.workers; ++number) state_.processes[number] = now_;
  act(action::StartGroup{state_.generation, facts_.workers},
      reason + ": generation " + std::to_string(state_.generation.value()) + " with " + std::to_string(facts_.workers) +
          (facts_.workers == 1 ? " worker" : " workers") + " from step " + std::to_string(committed_step()),
      Tone::kInfo);
}

/// What the next group resumes from was whole when it was committed. Whether it still is, is found out while the
/// workers start, so that it costs no time.
void Transition::verify_checkpoint() {
  if (!state_.checkpoint) return;
  state_.verifying = true;
  act(action::VerifyCheckpoint{}, "verify the checkpoint of step " + std::to_string(committed_step()));
}

void Transition::on(const event::CheckpointVerified& verified) {
  state_.verifying = false;
  for (const SetAsideCheckpoint& aside : verified.set_aside) {
    journal("checkpoint_set_aside", journal_data(aside, verified.checkpoint.step));
    note(to_string(aside, verified.checkpoint.step), Tone::kWarning);
  }
  state_.checkpoint = verified.checkpoint;
  if (!facts_.elastic) assign_when_ready();
}

void Transition::on(const event::NoCheckpointVerifies& none) {
  state_.verifying = false;
  fail(none.error);
}

void Transition::on(const event::GroupStarted& started) {
  state_.group = started.group;
  enter(GroupPhase::kGathering);
  if (!state_.stop_requested) return;
  state_.cause = EndCause{EndCause::Kind::kStopped, {}};
  end_group("the run is to stop");
}

void Transition::on(const event::GroupNotStarted& failed) { end_failed(failed.error); }

/// Why a worker cannot be one of the group that is being gathered.
std::optional<Error> Transition::why_refused(const Hello& hello) const {
  if (state_.phase != GroupPhase::kGathering)
    return usage_error("the run takes no workers now: it " +
                       std::string(state_.phase == GroupPhase::kTraining ? "has its group" : "is between two groups"));
  if (!state_.group.empty() && hello.group != state_.group)
    return usage_error("the run waits for another group of workers than this one");
  if (hello.group.empty()) return usage_error("the worker does not say which group it is of");
  if (hello.world < 1 || hello.world > facts_.lanes)
    return usage_error("a group of " + std::to_string(hello.world) + " workers cannot share the run's " +
                           std::to_string(facts_.lanes) + " lanes",
                       "train.lanes", "Start at most as many workers as the run has lanes.");
  if (facts_.supervised && hello.world != facts_.workers)
    return usage_error("the group has " + std::to_string(hello.world) + " workers, " + std::to_string(facts_.workers) +
                       " were started");
  if (state_.world != 0 && hello.world != state_.world)
    return usage_error("the group's workers do not agree how many they are");
  if (hello.rank < 0 || hello.rank >= hello.world)
    return usage_error("rank " + std::to_string(hello.rank) + " is not one of " + std::to_string(hello.world));
  if (state_.members.contains(hello.rank))
    return usage_error("rank " + std::to_string(hello.rank) + " has joined already");
  return std::nullopt;
}

void Transition::on(const event::WorkerCame& came) {
  if (facts_.elastic) return admit_newcomer(came);
  const Hello& hello = came.hello;
  if (const auto error = why_refused(hello)) {
    act(action::Drop{came.connection, Failed{static_cast<int>(error->code), error->message, error->where, error->hint}},
        "refused the worker with pid " + std::to_string(hello.pid) + ": " + error->message, Tone::kWarning);
    return;
  }
  if (state_.world == 0) {
    state_.group = hello.group;
    state_.world = hello.world;
    if (!facts_.supervised) state_.phase_since = now_;  // From now on the others are waited for.
  }
  state_.members[hello.rank] = member_of(came, now_);
  state_.found_at[came.connection] = hello.rank;
  act(action::Welcome{came.connection, state_.generation}, "let " + rank_name(hello.rank) + " in");
  note(rank_name(hello.rank) + " has come, " + std::to_string(state_.members.size()) + " of " +
       std::to_string(state_.world) +
       (hello.world == facts_.workers ? "" : " (the configuration says " + std::to_string(facts_.workers) + ")"));
  if (auto conflict = fingerprint_conflict(hello.rank)) return fail(std::move(*conflict));
  assign_when_ready();
}

void Transition::assign_when_ready() {
  const bool complete = state_.world > 0 && static_cast<int>(state_.members.size()) == state_.world;
  if (state_.phase == GroupPhase::kGathering && complete && !state_.verifying)
    begin_generation(committed_step(), /*source=*/-1);
}

/// Bits are promised for one way of computing: all ranks' and every generation's. Those who came before `rank` agree.
std::optional<Error> Transition::fingerprint_conflict(int rank) const {
  const Member& member = state_.members.at(rank);
  auto other = state_.members.begin();
  if (other->first == rank && std::next(other) != state_.members.end()) ++other;
  const std::string& expected = state_.fingerprint.empty() ? other->second.fingerprint : state_.fingerprint;
  if (member.fingerprint == expected) return std::nullopt;
  return fingerprint_error(rank_name(rank), member.fingerprint, expected);
}

Error Transition::fingerprint_error(const std::string& who, const std::string& fingerprint,
                                    const std::string& expected) const {
  return usage_error(
      who + " computes differently from " + (state_.fingerprint.empty() ? "another worker" : "how the run began") +
          ", so the weights would differ: \"" + fingerprint + "\" instead of \"" + expected + "\"",
      "numeric fingerprint",
      "Resume it where it began (same processor features or GPU, threads and library versions), or begin "
      "a new run with model.init set to its newest checkpoint.");
}

/// Of the generation that begins at `start`; `leases` are still those of the one before.
void Transition::plan_make_up(std::int64_t start) {
  const bool in_vain =
      state_.make_up && *state_.make_up > committed_step() && state_.leases.newest() >= *state_.make_up;
  if (in_vain) ++state_.made_up_in_vain;
  state_.make_up = make_up_step({facts_.checkpoint_every, committed_step(), start, state_.made_up_in_vain});
  if (state_.make_up)
    note("a checkpoint that was due was given up with its generation: that of step " + std::to_string(*state_.make_up) +
         " makes up for it");
}

/// The members train from `start`, with the state that rank `source` holds; -1: with the newest committed checkpoint's.
void Transition::begin_generation(std::int64_t start, int source) {
  state_.fingerprint = state_.members.begin()->second.fingerprint;
  state_.assigned = true;
  state_.world = static_cast<int>(state_.members.size());
  share_lanes();
  enter(GroupPhase::kTraining);
  state_.group_moved_at = now_;
  Json hosts = Json::array();
  for (const auto& [rank, member] : state_.members) hosts.push_back(member.host);
  const bool from_files = source < 0;
  journal("generation_started",
          {{"generation", state_.generation.value()},
           {"world", state_.world},
           {"launcher", facts_.launcher},
           {"group", state_.group},
           {"hosts", std::move(hosts)},
           {"lanes", state_.shares},
           {"fingerprint", state_.fingerprint},
           {"resume_from", state_.checkpoint && from_files ? Json(state_.checkpoint->step.value()) : Json()},
           {"start_step", start},
           {"reason", !from_files           ? "regrouped"
                      : state_.restarts > 0 ? "restarted after a loss"
                      : state_.checkpoint   ? "resumed"
                                            : "started"}});
  // What was recorded beyond the start was of steps that are taken anew. Those of a group that somebody's state begins
  // are not recorded anew, unless a measurement is, whose line voids those of later steps.
  if (from_files || state_.measured > start) state_.recorded = std::min(state_.recorded, start);
  state_.measured = std::min(state_.measured, start);
  state_.pictured = std::min(state_.pictured, start);
  Assignment assignment;
  assignment.generation = state_.generation;
  assignment.world = state_.world;
  assignment.start_step = start;
  assignment.source = source;
  assignment.recorded = state_.recorded;
  assignment.checkpointed = state_.checkpoint ? committed_step() : -1;
  assignment.measured = state_.measured;
  assignment.pictured = state_.pictured;
  plan_make_up(start);
  assignment.make_up = state_.make_up.value_or(-1);
  if (state_.shares != even_shares(state_.world, facts_.lanes)) assignment.shares = state_.shares;
  std::shared_ptr<std::vector<std::string>> mesh;
  if (facts_.elastic) {
    mesh = std::make_shared<std::vector<std::string>>();
    for (const auto& [rank, member] : state_.members) mesh->push_back(member.mesh);
  }
  const std::optional<Step> resume =
      state_.checkpoint && from_files ? std::optional(state_.checkpoint->step) : std::nullopt;
  for (auto& [rank, member] : state_.members) {
    member.step = start;
    member.phase = "starting";
    member.moved_at = now_;
    member.hung_at.reset();
    assignment.rank = rank;
    act(action::Assign{member.connection, resume, assignment, mesh}, "assignment of " + rank_name(rank));
  }
  note((facts_.elastic ? "generation " + std::to_string(state_.generation.value()) + " begins with "
                       : std::string("all ")) +
       std::to_string(state_.world) + (state_.world == 1 ? " worker" : " workers") +
       (facts_.elastic ? ", at step " : " have joined, at step ") + std::to_string(start));
  std::erase_if(state_.rates, [&](const MeasuredRate& measured) { return measured.step > start; });
  LeasePolicy policy = facts_.lease;
  // Patience that was set in the middle of a run may have been at its end before: then nothing more is trained.
  if (const auto end = early_end(facts_.early_stop, state_.rates)) policy.steps = std::max(*end, start);
  state_.leases = LeaseWindow(policy, start);
  // Where the start itself is still to be measured, it may be where patience ends.
  const EarlyStopPolicy& patience = facts_.early_stop;
  const bool to_be_measured = patience.active() && start % patience.every == 0 && state_.measured < start;
  state_.leases.limit(to_be_measured ? start : furthest_step(patience, state_.rates, start));
  grant_all(state_.leases.open(), "first lease");
  if (state_.stop_requested) stop_training();
}

}  // namespace plumbline
