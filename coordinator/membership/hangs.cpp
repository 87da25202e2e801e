// Workers that are heard but do not get on. Each says in its heartbeats how much work it has done, in which collective
// call it waits, and for whom. What is too long is learned from the run itself, stage by stage. A rank that neither
// gets on nor waits hangs; where all wait, the one at fault is behind the others in its calls, or is the one that the
// others wait for. Before it is given up its stacks are written down.
#include <algorithm>
#include <utility>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

namespace {

using std::chrono::milliseconds;

/// The run's name for the stage of all workers together.
constexpr const char* kWholeGroup = "";

milliseconds between(SteadyTime from, SteadyTime to) { return std::chrono::duration_cast<milliseconds>(to - from); }

std::string seconds(milliseconds time) { return std::to_string(time.count() / 1000) + " s"; }

/// Is it one of those of which we know whether it gets on?
bool is_watched(const Member& member) {
  return member.connected && !member.finished && !member.failed && member.beat.work != 0;
}

bool waits_in_call(const Member& member) {
  return !member.beat.waits_in.empty() && member.beat.waits_in != kWaitsForCoordinator;
}

}  // namespace

void Transition::learn(const std::string& stage, milliseconds gap) {
  milliseconds& longest = state_.longest[stage];
  longest = std::max(longest, gap);
}

/// Of a stage that some worker has been through.
std::optional<milliseconds> Transition::learned_patience(const std::string& stage) const {
  const auto longest = state_.longest.find(stage);
  if (longest == state_.longest.end()) return std::nullopt;
  return std::min(std::max(facts_.hang_least, facts_.hang_factor * longest->second), facts_.hang_unknown);
}

milliseconds Transition::patience(const std::string& stage) const {
  return learned_patience(stage).value_or(facts_.hang_unknown);
}

/// Compares a heartbeat with the one before.
void Transition::take_note(Member& member, const Heartbeat& heartbeat) {
  const Heartbeat before = std::exchange(member.beat, heartbeat);
  const bool got_on = heartbeat.work != before.work || heartbeat.calls != before.calls ||
                      heartbeat.waits_in != before.waits_in || heartbeat.phase != before.phase ||
                      heartbeat.step != before.step;
  if (got_on) {
    if (before.work != 0 && before.waits_in.empty()) learn(before.phase, between(member.moved_at, now_));
    if (before.work != 0) learn(kWholeGroup, between(state_.group_moved_at, now_));
    member.moved_at = state_.group_moved_at = now_;
    if (std::exchange(member.hung_at, std::nullopt))
      note("worker " + std::to_string(member.number) + " on " + member.host + " gets on again");
  }
}

/// It neither gets on nor waits for anybody. Where that is so of every worker at once, what they share may be to blame,
/// a file system that does not answer: then none is given up before the longest time.
bool Transition::hangs(const Member& member) const {
  const milliseconds still = between(member.moved_at, now_);
  if (!is_watched(member) || !member.beat.waits_in.empty() || still <= facts_.hang_least) return false;
  const bool others_do_better = std::any_of(state_.members.begin(), state_.members.end(), [&](const auto& m) {
    const Member& other = m.second;
    return is_watched(other) && (!other.beat.waits_in.empty() || between(other.moved_at, now_) <= facts_.hang_least);
  });
  return still > (others_do_better ? patience(member.beat.phase) : facts_.hang_unknown);
}

void Transition::look_for_hangs() {
  if (state_.phase != GroupPhase::kTraining || state_.all_finished) return;
  for (const auto& [rank, member] : state_.members) {
    if (!is_watched(member)) continue;
    if (member.hung_at && now_ - *member.hung_at > facts_.stacks_grace)
      return give_up_hung(rank, "it did not write its stacks");
    const milliseconds still = between(member.moved_at, now_);
    if (!member.hung_at && hangs(member))
      suspect(rank, "it does not get on in the stage \"" + member.beat.phase + "\" since " + seconds(still));
  }
  look_at_waiting();
}

/// Everybody waits for another, for longer than the group ever stood still.
void Transition::look_at_waiting() {
  if (!has_stood_still()) return;
  const Member& any = state_.members.begin()->second;
  const std::string since = seconds(between(state_.group_moved_at, now_));
  if (const auto rank = rank_at_fault())
    return suspect(*rank, "since " + since + " nobody gets on: all others wait for it");
  const std::string what = "no worker gets on since " + since + ": all wait, rank " +
                           std::to_string(state_.members.begin()->first) + " in \"" + any.beat.waits_in + "\" after " +
                           std::to_string(any.beat.calls) + " collective calls";
  learn(kWholeGroup, 2 * patience(kWholeGroup) / facts_.hang_factor);
  note(what, Tone::kWarning);
  if (facts_.elastic) return begin_regrouping(what);
  state_.cause = EndCause{EndCause::Kind::kLost, run_error(what)};
  end_group("no worker gets on");
}

/// Nothing is being done for which a worker would wait.
bool Transition::owes_nothing() const {
  return state_.storing.empty() && state_.aggregating.empty() && !state_.verifying;
}

/// Who waits for the coordinator, which owes it nothing, stands still like who waits in a call.
bool Transition::has_stood_still() const {
  bool any = false;
  for (const auto& [rank, member] : state_.members) {
    if (!member.connected || member.finished) continue;
    if (!is_watched(member) || member.beat.waits_in.empty() || member.hung_at) return false;
    if (!waits_in_call(member) && !owes_nothing()) return false;
    any = true;
  }
  return any && between(state_.group_moved_at, now_) > patience(kWholeGroup);
}

/// Of a group in which all wait: who is behind the others, or whom most of them wait for.
std::optional<int> Transition::rank_at_fault() const {
  std::vector<std::pair<std::uint64_t, int>> calls;
  std::map<int, int> waited_for;
  for (const auto& [rank, member] : state_.members) {
    if (!is_watched(member)) continue;
    calls.emplace_back(member.beat.calls, rank);
    for (const int other : member.beat.waits_for)
      if (other != rank && state_.members.contains(other)) ++waited_for[other];
  }
  std::sort(calls.begin(), calls.end());
  const bool one_is_behind = calls.size() > 1 && calls[0].first < calls[1].first;
  if (one_is_behind) return calls[0].second;
  std::optional<int> most;
  bool tied = false;
  for (const auto& [rank, votes] : waited_for) {
    if (most && votes < waited_for.at(*most)) continue;
    tied = most && votes == waited_for.at(*most);
    most = rank;
  }
  return tied ? std::nullopt : most;
}

void Transition::suspect(int rank, const std::string& how) {
  Member& member = state_.members.at(rank);
  member.hung_at = now_;
  member.hung_how =
      how +
      (member.beat.calls == 0 ? "" : "; its newest collective call is number " + std::to_string(member.beat.calls));
  if (!member.beat.waits_in.empty()) member.hung_how += ", \"" + member.beat.waits_in + "\", in which it still is";
  act(action::Send{member.connection, StacksRequest{member.hung_how}},
      rank_name(rank) + " hangs: " + member.hung_how + "; asking for its stacks", Tone::kWarning);
}

void Transition::give_up_hung(int rank, const std::string& stacks) {
  const Member member = state_.members.at(rank);
  // Was this too early, the next one has longer.
  const std::string stage = member.beat.waits_in.empty() ? member.beat.phase : kWholeGroup;
  learn(stage, 2 * patience(stage) / facts_.hang_factor);
  const std::string reason = "it hangs (" + member.hung_how + "; " + stacks + ")";
  if (facts_.elastic) return lose_worker(rank, reason);
  lose(rank, reason);
}

}  // namespace plumbline
