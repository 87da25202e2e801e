// The processes of an elastic group: who has gone and is launched again, who is left out, and who has outlived the
// coordinator before this one.
#include <algorithm>
#include <utility>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

namespace {

/// Losses of one worker on a host, within so long, until the host is left out.
constexpr std::size_t kMostLossesOnAHost = 3;
constexpr std::chrono::hours kLossesCount{1};

bool is_refusal_to_start(int status) { return status == 2 || status == 3 || status == 6; }

}  // namespace

/// What it said last is read first: it may be why it has gone, and another of its number comes only after it.
void Transition::on(const event::WorkerExited& what) {
  if (!state_.processes.contains(what.number)) return;
  event::WorkerExited exited = what;
  const Member* member = member_of_number(exited.number);
  const bool speaks = member != nullptr && member->connected;
  if (state_.doubles.erase(exited.number) > 0) {
    // Two processes had this number, as one that was taken for lost came back; the other was refused. Which of them has
    // ended is not known; whether the one that speaks is there, is looked up.
    if (speaks && has_group() && !state_.all_finished)
      return act(action::AdoptWorker{exited.number, member->pid, member->host},
                 "a second process of worker " + std::to_string(exited.number) + " has ended", Tone::kInfo);
    exited.status = static_cast<int>(ErrorCode::kRun);  // It did not refuse, it was refused.
  }
  if (speaks && has_group() && !state_.all_finished)
    state_.exits[exited.number] = exited;
  else
    process_gone(exited);
}

void Transition::process_gone(const event::WorkerExited& exited) {
  state_.processes.erase(exited.number);
  const bool expected = state_.all_finished || !has_group();
  const bool was_surplus = state_.dismissed.erase(exited.number) > 0;
  note("the process of worker " + std::to_string(exited.number) + " " + exited.description,
       expected || was_surplus || exited.status == 0 ? Tone::kInfo : Tone::kWarning);
  if (!expected && !was_surplus) replace(exited);
}

/// A process that has gone is launched again, unless that cannot come to anything: it refused, or came to nothing too
/// often. After too many losses without a step in between it is launched once there is a step.
void Transition::replace(const event::WorkerExited& exited) {
  const std::string name = "worker " + std::to_string(exited.number);
  const bool others_hold_state = state_.phase != GroupPhase::kGathering;
  const bool took_part = state_.lost.erase(exited.number) > 0;
  if (is_refusal_to_start(exited.status)) {
    if (!others_hold_state)
      return fail({static_cast<ErrorCode>(exited.status), "a worker did not start: its process " + exited.description,
                   facts_.log_place, "What it said is at the end of that file."});
    // What one host lacks, a way to the coordinator perhaps, another may have.
    const bool may_lie_in_the_host = exited.status == static_cast<int>(ErrorCode::kEnvironment) && !took_part;
    if (facts_.chooses_hosts && may_lie_in_the_host && ++state_.failed_starts[exited.number] <= facts_.max_restarts) {
      state_.elsewhere.insert(exited.number);
      return launch(exited.number, name + " " + exited.description + " before it took part");
    }
    state_.left_out.insert(exited.number);
    return note(name + " is left out: it would refuse again", Tone::kWarning);
  }
  if (took_part)
    state_.failed_starts.erase(exited.number);
  else if (++state_.failed_starts[exited.number] > facts_.max_restarts)
    state_.left_out.insert(exited.number);
  if (state_.left_out.contains(exited.number)) {
    note(name + " is left out: it ended " + std::to_string(state_.failed_starts[exited.number]) +
             " times in a row before it took part",
         Tone::kWarning);
  } else if (state_.restarts_in_row <= facts_.max_restarts) {
    return launch(exited.number, name + " " + exited.description);
  } else {
    state_.given_up.insert(exited.number);
    note(name + " is not launched again before there is a step: " + std::to_string(state_.restarts_in_row) +
             " losses without one",
         Tone::kWarning);
  }
  if (state_.processes.empty())
    fail(run_error("no worker is left: " + name + " " + exited.description, facts_.log_place,
                   "Look there for the reason. The run keeps its checkpoint of step " +
                       std::to_string(committed_step()) + "; resume it with: " + facts_.resume_command));
}

/// A step was taken or a checkpoint committed: what was lost before it is forgiven.
void Transition::forgive_losses() {
  if (!has_group()) return;
  state_.restarts_in_row = 0;
  for (const int number : std::exchange(state_.given_up, {}))
    if (!state_.processes.contains(number)) launch(number, "there is a new step");
}

/// Once there is a step: then what a spare prepares for is known to work, and what it needs is there.
void Transition::launch_spares() {
  if (state_.phase != GroupPhase::kTraining || state_.stop_requested) return;
  if (std::exchange(state_.spares_launched, true)) return;
  for (int number = facts_.workers; number < facts_.workers + facts_.spares; ++number)
    if (!state_.processes.contains(number) && std::ssize(state_.processes) < wanted())
      launch(number, "it is a spare", /*again=*/false);
}

void Transition::launch(int number, const std::string& reason, bool again) {
  state_.processes[number] = now_;
  state_.dismissed.erase(number);
  const bool is_to_go_elsewhere = state_.elsewhere.erase(number) > 0, fails = fails_too_often(number);
  const bool elsewhere = facts_.chooses_hosts && (is_to_go_elsewhere || fails);
  act(action::StartWorker{number, state_.group, elsewhere},
      "launching worker " + std::to_string(number) +
          (elsewhere ? " on another host: "
           : again   ? " again: "
                     : ": ") +
          reason,
      Tone::kInfo);
}

/// Where so many were lost within an hour there is more to come. Its losses there are forgotten: it goes elsewhere.
bool Transition::fails_too_often(int number) {
  std::vector<SteadyTime>& losses = state_.losses[number];
  std::erase_if(losses, [&](SteadyTime at) { return now_ - at > kLossesCount; });
  if (losses.size() < kMostLossesOnAHost) return false;
  losses.clear();
  return true;
}

// --- orphans

/// It was in a generation of this run, or about to be in one, and its coordinator is gone. Whatever step it holds, the
/// weights of a step are the same bits in every generation.
bool Transition::is_orphan(const Hello& hello) const {
  const bool was_in_one = hello.generation > Generation() && hello.generation <= state_.generation;
  const bool was_launched = hello.generation == Generation() && state_.adopting;
  return (was_in_one || was_launched) && hello.rank < facts_.lanes;
}

/// Begins with the workers of the generation that is in the journal, who train by themselves meanwhile.
void Transition::adopt() {
  state_.adopting = true;
  state_.assigned = true;
  enter(GroupPhase::kGathering);
  note("waiting for " + std::to_string(facts_.orphans) + (facts_.orphans == 1 ? " worker" : " workers") +
       " of generation " + std::to_string(state_.generation.value()) + " that outlived their coordinator");
}

/// All have come, or will not: who is missing is launched.
void Transition::adopt_no_more() {
  state_.adopting = false;
  if (state_.stop_requested) return;
  for (int number = 0; number < facts_.workers; ++number)
    if (!state_.processes.contains(number) && std::ssize(state_.processes) < wanted())
      launch(number, "it has not outlived its coordinator");
}

/// Of those who outlived their coordinator there may be more than the next one is asked for: once the group trains, who
/// is beyond it and its spares goes, first those that are not ready. Steps are lost by none of it: the group holds the
/// newest.
void Transition::dismiss_surplus() {
  if (state_.phase != GroupPhase::kTraining || state_.all_finished) return;
  auto surplus = std::ssize(state_.members) + std::ssize(state_.newcomers) - wanted();
  if (surplus <= 0) return;
  std::vector<const Member*> dispensable;
  for (auto newcomer = state_.newcomers.rbegin(); newcomer != state_.newcomers.rend(); ++newcomer)
    dispensable.push_back(&newcomer->second);
  std::stable_partition(dispensable.begin(), dispensable.end(),
                        [&](const Member* m) { return state_.dismissed.contains(m->number) || !can_take_part(*m); });
  for (const Member* newcomer : dispensable) {
    if (surplus-- <= 0) return;
    if (!newcomer->connected || !state_.dismissed.insert(newcomer->number).second) continue;
    act(action::Send{newcomer->connection, Dismissal{}},
        "worker " + std::to_string(newcomer->number) + " is one more than the " + std::to_string(facts_.workers) +
            (facts_.workers == 1 ? " worker" : " workers") +
            (facts_.spares > 0 ? " and " + std::to_string(facts_.spares) + " in reserve" : "") +
            " that are wanted: it is to leave",
        Tone::kInfo);
  }
}

}  // namespace plumbline
