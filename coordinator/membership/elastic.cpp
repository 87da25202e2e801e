// An elastic group: workers are processes of their own, known by a number, which come and go. When one is lost, or one
// more is to take part, the generation is left by all; those who are there then form the next one, and everybody takes
// the state of whoever holds the newest step. Only when nobody is left that holds a state, or nobody has come to hold
// one yet, does the generation begin from the files, as a static group's does.
#include <algorithm>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

namespace {

std::string worker_name(int number, const Member& member) {
  return "worker " + std::to_string(number) + " (pid " + std::to_string(member.pid) + " on " + member.host + ")";
}

/// Breaks in a row of a group that nobody left, beyond the losses that are allowed in a row, until the run fails.
constexpr int kMoreBreaks = 10;

std::string count_of(std::size_t workers) { return std::to_string(workers) + (workers == 1 ? " worker" : " workers"); }

}  // namespace

// --- coming

std::optional<Error> Transition::why_newcomer_refused(const Hello& hello) const {
  if (!has_group()) return usage_error("the run takes no workers now");
  if (hello.world != 0)
    return usage_error("the run's group is elastic, and this worker is of a static one", "workers.launcher",
                       "The run starts its workers itself.");
  if (hello.group != state_.group) return usage_error("the run has another group of workers than this one");
  if (!state_.processes.contains(hello.rank) && !is_orphan(hello))
    return usage_error("nobody launched a worker " + std::to_string(hello.rank));
  if (state_.parted.contains({hello.host, hello.pid}))
    return usage_error("others cannot reach this worker's host, and another was launched in its place");
  if (member_of_number(hello.rank) != nullptr)
    return usage_error("worker " + std::to_string(hello.rank) + " has joined already");
  return std::nullopt;
}

const Member* Transition::member_of_number(int number) const {
  if (const auto newcomer = state_.newcomers.find(number); newcomer != state_.newcomers.end()) return &newcomer->second;
  const auto member = std::find_if(state_.members.begin(), state_.members.end(),
                                   [&](const auto& m) { return m.second.number == number; });
  return member == state_.members.end() ? nullptr : &member->second;
}

/// Others compute in another way: its bits would not be theirs.
std::optional<Error> Transition::conflict_with_others(const Hello& hello) const {
  std::string expected = state_.fingerprint;
  if (expected.empty() && !state_.newcomers.empty()) expected = state_.newcomers.begin()->second.fingerprint;
  if (expected.empty() || hello.fingerprint == expected) return std::nullopt;
  return fingerprint_error(
      "worker " + std::to_string(hello.rank) + " (pid " + std::to_string(hello.pid) + " on " + hello.host + ")",
      hello.fingerprint, expected);
}

void Transition::admit_newcomer(const event::WorkerCame& came) {
  const Hello& hello = came.hello;
  std::optional<Error> error = why_newcomer_refused(hello);
  if (!error) {
    error = conflict_with_others(hello);
    if (error && state_.phase == GroupPhase::kGathering) return fail(std::move(*error));
  }
  if (error) {
    if (hello.group == state_.group && member_of_number(hello.rank) != nullptr) state_.doubles.insert(hello.rank);
    act(action::Drop{came.connection, Failed{static_cast<int>(error->code), error->message, error->where, error->hint}},
        "refused the worker with pid " + std::to_string(hello.pid) + ": " + error->message, Tone::kWarning);
    return;
  }
  Member& member = state_.newcomers[hello.rank];
  member.adopted = is_orphan(hello) && hello.generation > Generation();
  if (!state_.processes.contains(hello.rank)) {
    state_.processes[hello.rank] = now_;
    act(action::AdoptWorker{hello.rank, hello.pid, hello.host},
        "worker " + std::to_string(hello.rank) + " has outlived its coordinator", Tone::kInfo);
  }
  member.connection = came.connection;
  member.host = hello.host, member.pid = hello.pid, member.fingerprint = hello.fingerprint;
  member.number = hello.rank, member.mesh = hello.mesh;
  member.last_heard = member.moved_at = now_;
  state_.found_at[came.connection] = hello.rank;
  const bool under_way = state_.phase != GroupPhase::kGathering || (state_.adopting && !member.adopted);
  act(action::Welcome{came.connection, state_.generation, under_way}, "let " + worker_name(hello.rank, member) + " in");
  note(worker_name(hello.rank, member) + " has come");
}

/// Before its first assignment a worker says that it lives, that it is ready, or that it cannot be.
void Transition::newcomer_said(Member& newcomer, const Message& message) {
  newcomer.last_heard = now_;
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    take_note(newcomer, *heartbeat);
    newcomer.phase = heartbeat->phase.substr(0, 40);
    newcomer.step = heartbeat->step;
  } else if (const auto* ready = std::get_if<Ready>(&message)) {
    if (ready->step >= 0 && !newcomer.adopted)
      return act(action::Drop{newcomer.connection, std::nullopt},
                 worker_name(newcomer.number, newcomer) + " is cut off: it holds a state that nobody gave it",
                 Tone::kWarning);
    newcomer.ready = *ready;
  } else if (const auto* failed = std::get_if<Failed>(&message)) {
    newcomer.failed = true;
    note(worker_name(newcomer.number, newcomer) + " failed: " + failed->message, Tone::kWarning);
    if (state_.phase == GroupPhase::kGathering)
      fail({static_cast<ErrorCode>(failed->code), failed->message, failed->where, failed->hint});
  } else if (newcomer.adopted && !newcomer.ready) {
    // It has not read yet that its generation is over. What counts of this is said, or made, again.
  } else {
    act(action::Drop{newcomer.connection, std::nullopt},
        worker_name(newcomer.number, newcomer) + " is cut off: no newcomer says " + message_name(message),
        Tone::kWarning);
  }
}

// --- leaving a generation

/// A member has left the generation and tells what it holds: as it was asked to, or since its group broke.
void Transition::heard(const Speaker& speaker, const Ready& ready) {
  if (!facts_.elastic) return violation(speaker, "no worker of a static group says Ready");
  if (state_.all_finished) return;
  Member& member = *speaker.member;
  if (ready.step > state_.leases.end()) return violation(speaker, "it holds a step beyond its lease");
  member.ready = ready;
  member.finished = false;
  member.step = std::max<std::int64_t>(ready.step, 0);
  note_unreached(speaker.rank, ready.unreached);
  if (state_.phase != GroupPhase::kTraining) return;
  if (state_.leases.regroups() && ready.step == state_.leases.end()) {
    const bool all = std::all_of(state_.members.begin(), state_.members.end(),
                                 [](const auto& m) { return m.second.ready.has_value(); });
    if (all) enter(GroupPhase::kRegrouping);
    return;
  }
  if (state_.restarts_in_row > facts_.max_restarts + kMoreBreaks)
    return fail(run_error("the workers cannot reach each other: their group broke " +
                              std::to_string(state_.restarts_in_row) + " times without a new step",
                          facts_.log_place, "Their own logs say whom they could not reach."));
  begin_regrouping(rank_name(speaker.rank) + " cannot reach another worker");
}

/// Counts one more generation that was lost, and calls everybody out of it.
void Transition::begin_regrouping(const std::string& reason) {
  ++state_.restarts;
  ++state_.restarts_in_row;
  enter(GroupPhase::kRegrouping);
  note("regrouping: " + reason, Tone::kInfo);
  for (const auto& [rank, member] : state_.members)
    if (member.connected && !member.ready)
      act(action::Send{member.connection, Regroup{reason}}, "call " + rank_name(rank) + " out of the generation");
}

void Transition::lose_worker(int rank, const std::string& reason) {
  const Member member = state_.members.at(rank);
  const std::string name = rank_name(rank);
  journal("worker_lost", {{"generation", state_.generation.value()},
                          {"rank", rank},
                          {"worker", member.number},
                          {"host", member.host},
                          {"pid", member.pid},
                          {"step", member.step},
                          {"reason", reason}});
  note(name + " is lost: " + reason, Tone::kWarning);
  if (state_.processes.contains(member.number)) state_.lost.insert(member.number);
  state_.losses[member.number].push_back(now_);
  state_.members.erase(rank);
  if (state_.phase == GroupPhase::kTraining) begin_regrouping(name + " is lost");
  give_up(member);
}

/// Ends its connection and its process, whichever is still there.
void Transition::give_up(const Member& member) {
  if (member.connected) act(action::Drop{member.connection, std::nullopt}, "the worker is given up");
  if (const auto exit = state_.exits.find(member.number); exit != state_.exits.end()) {
    const event::WorkerExited exited = exit->second;
    state_.exits.erase(exit);
    process_gone(exited);
  } else if (state_.processes.contains(member.number)) {
    act(action::KillWorker{member.number}, "end worker " + std::to_string(member.number));
  }
}

void Transition::lose_newcomer(int number, const std::string& reason) {
  const Member member = state_.newcomers.at(number);
  if (state_.dismissed.contains(number))
    note(worker_name(number, member) + " has left: " + reason);
  else
    note(worker_name(number, member) + " is lost before it took part: " + reason, Tone::kWarning);
  state_.newcomers.erase(number);
  give_up(member);
}

// --- the next generation

/// Something that no checkpoint has. Who comes back after a long time may hold an older step than the newest commit,
/// and so may ranks without a part in it, where those that wrote it are gone.
bool Transition::holds_state(const Member& member) const {
  return member.ready && member.ready->step >= committed_step();
}

/// Whoever is left holds nothing: they start over from the files, with all that can be had. Not before what is being
/// stored is stored, or it would be overlooked.
void Transition::start_over_when_nothing_is_held() {
  if (state_.phase != GroupPhase::kRegrouping || !state_.storing.empty() || !state_.aggregating.empty()) return;
  const bool may_hold = std::any_of(state_.members.begin(), state_.members.end(),
                                    [&](const auto& m) { return !m.second.ready || holds_state(m.second); });
  if (may_hold) return;
  for (auto& [rank, member] : state_.members) state_.newcomers[member.number] = member;
  state_.members.clear();
  enter(GroupPhase::kGathering);
  if (state_.stop_requested) {
    state_.cause = EndCause{EndCause::Kind::kStopped, {}};
    return end_group("nobody holds anything that a checkpoint does not");
  }
  verify_checkpoint();
}

/// Training waits for others only as long as there are others to come.
void Transition::fail_when_too_few() {
  const bool waits = state_.phase == GroupPhase::kGathering || state_.phase == GroupPhase::kRegrouping;
  if (!waits || state_.stop_requested || state_.adopting || std::ssize(state_.processes) >= facts_.min_workers) return;
  fail(run_error(
      count_of(state_.processes.size()) + " of at least " + std::to_string(facts_.min_workers) +
          " are left, and those that are gone are not launched again",
      facts_.log_place,
      "What they said last is at the end of that file. The run can be resumed with: " + facts_.resume_command));
}

/// Nothing that the last generation wrote is being worked on, everybody has left it, and enough are there.
void Transition::regroup_when_ready() {
  if (state_.phase != GroupPhase::kGathering && state_.phase != GroupPhase::kRegrouping) return;
  if (state_.verifying || !state_.storing.empty() || !state_.aggregating.empty()) return;
  if (state_.adopting) {
    const bool in_time = now_ - state_.phase_since <= facts_.adopt_timeout;
    if (in_time && std::ssize(state_.newcomers) < facts_.orphans) return;
    // Who was in no generation yet holds nothing that is worth waiting for.
    const auto ready = std::count_if(state_.newcomers.begin(), state_.newcomers.end(),
                                     [](const auto& m) { return m.second.ready || !m.second.adopted; });
    if (in_time && ready < facts_.orphans) return;
    adopt_no_more();
  }
  const bool all_left = std::all_of(state_.members.begin(), state_.members.end(),
                                    [](const auto& m) { return m.second.ready.has_value(); });
  if (!all_left) return;
  part_with_severed();
  bool anyone_holds_state =
      std::any_of(state_.members.begin(), state_.members.end(), [&](const auto& m) { return holds_state(m.second); });
  if (!anyone_holds_state && state_.assigned)  // before, nobody can
    anyone_holds_state = std::any_of(state_.newcomers.begin(), state_.newcomers.end(),
                                     [&](const auto& m) { return can_take_part(m.second) && holds_state(m.second); });
  if (state_.stop_requested && !anyone_holds_state) return stop_unless_someone_may_hold_state();
  // From the files: with everybody who was launched. Otherwise at once, with whoever is there.
  const std::size_t least = anyone_holds_state
                                ? static_cast<std::size_t>(state_.stop_requested ? 1 : facts_.min_workers)
                                : std::max(std::min(state_.processes.size(), static_cast<std::size_t>(facts_.workers)),
                                           static_cast<std::size_t>(facts_.min_workers));
  std::size_t workers = state_.members.size() + state_.newcomers.size();
  for (const auto& newcomer : state_.newcomers) {
    // This is asked after whatever anybody says: while thousands come, the first that is missing is answer enough.
    if (workers < least && !anyone_holds_state) return;
    if (!can_take_part(newcomer.second)) --workers;
  }
  if (workers == 0) return;
  if (workers >= least) return regroup();
  if (!anyone_holds_state || state_.waits_for_more) return;
  state_.waits_for_more = true;
  note(count_of(workers) + " of at least " + std::to_string(facts_.min_workers) +
           " are there: training waits for others",
       Tone::kWarning);
}

/// A stop came while workers of an earlier coordinator were waited for; they may still be in their generation.
void Transition::stop_unless_someone_may_hold_state() {
  const bool may_hold = std::any_of(state_.newcomers.begin(), state_.newcomers.end(),
                                    [](const auto& m) { return m.second.adopted && !m.second.ready; });
  if (may_hold || state_.phase != GroupPhase::kGathering) return;
  state_.cause = EndCause{EndCause::Kind::kStopped, {}};
  end_group("nobody holds anything that a checkpoint does not");
}

/// With every member and every newcomer that is ready.
void Transition::regroup() {
  std::vector<Member> workers;
  for (const auto& [rank, member] : state_.members) workers.push_back(member);
  for (const auto& [number, member] : state_.newcomers)
    if (can_take_part(member)) workers.push_back(member);
  const auto step_of = [](const Member& member) { return member.ready ? member.ready->step : -1; };
  // Who holds the newest step comes first: rank 0 speaks for all, and its state is everybody's.
  std::stable_sort(workers.begin(), workers.end(), [&](const Member& a, const Member& b) {
    return step_of(a) != step_of(b) ? step_of(a) > step_of(b) : a.number < b.number;
  });
  if (state_.assigned) {
    journal("generation_ended", {{"generation", state_.generation.value()}, {"reason", "regrouped"}, {"exit", Json()}});
    ++state_.generation;
  }
  const bool from_files = !holds_state(workers.front());
  const std::int64_t newest = from_files ? committed_step() : step_of(workers.front());
  state_.members.clear();
  state_.parts.clear();
  state_.snapshot_ranks.clear();
  state_.waits_for_more = false;
  for (Member& worker : workers) {
    state_.newcomers.erase(worker.number);
    if (std::ssize(state_.members) == facts_.workers) {  // the group is complete, and this one a spare
      state_.newcomers.emplace(worker.number, std::move(worker));
      continue;
    }
    worker.ready.reset();
    worker.finished = false;
    const int rank = static_cast<int>(state_.members.size());
    state_.found_at[worker.connection] = rank;
    state_.members.emplace(rank, std::move(worker));
  }
  begin_generation(newest, from_files ? -1 : 0);
}

/// A newcomer that is ready takes part as soon as the granted steps are taken, unless the group is complete.
void Transition::grow_when_possible() {
  if (state_.phase != GroupPhase::kTraining || state_.stop_requested) return;
  if (std::ssize(state_.members) >= facts_.workers) return;
  const bool anyone = std::any_of(state_.newcomers.begin(), state_.newcomers.end(),
                                  [&](const auto& m) { return can_take_part(m.second); });
  if (!anyone) return;
  if (const auto grant = state_.leases.regroup())
    grant_all(*grant, "a newcomer is ready and takes part from step " + std::to_string(grant->end_step));
}

// --- the end

/// Every member has finished: nobody is needed any more, and who has not come yet need not.
void Transition::dismiss_all() {
  for (const auto& [rank, member] : state_.members)
    if (member.connected) act(action::Send{member.connection, Dismissal{}}, "dismiss " + rank_name(rank));
  for (const auto& [number, member] : state_.newcomers)
    if (member.connected) act(action::Send{member.connection, Dismissal{}}, "dismiss worker " + std::to_string(number));
  const std::set<int> members = numbers_of_members();
  for (const auto& [number, launched] : state_.processes) {
    if (!members.contains(number) && !state_.newcomers.contains(number))
      act(action::KillWorker{number}, "worker " + std::to_string(number) + " comes too late");
  }
}

/// For the rest of the room a group whose processes are all gone has exited.
void Transition::conclude_elastic_when_gone() {
  const bool ends = state_.phase == GroupPhase::kEnding || (has_group() && state_.all_finished);
  if (ends)
    for (const auto& [number, exited] : std::exchange(state_.exits, {})) process_gone(exited);
  if (!ends || !state_.processes.empty() || state_.exited) return;
  state_.exited = event::GroupExited{0, "is gone"};
  state_.exited_at = now_;
  if (state_.phase != GroupPhase::kEnding) enter(GroupPhase::kEnding);
}

}  // namespace plumbline
