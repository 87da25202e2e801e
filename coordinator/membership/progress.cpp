// What the workers of the present group say, from their welcome to their end.
#include <algorithm>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMostPhaseBytes = 40;

/// Is it a plain path inside the run directory?
bool is_inside_run(const std::string& file) {
  if (file.empty() || file.front() == '/' || file.size() > 1024) return false;
  const std::filesystem::path path(file);
  return std::none_of(path.begin(), path.end(), [](const auto& part) { return part == ".." || part == "."; });
}

std::string kind_of(const Json& metrics) {
  const auto kind = metrics.is_object() ? metrics.find("kind") : metrics.end();
  return kind != metrics.end() && kind->is_string() ? kind->get<std::string>() : std::string();
}

double seconds_of(const Json& metrics) {
  const auto seconds = metrics.find("seconds");
  return seconds != metrics.end() && seconds->is_number() ? seconds->get<double>() : 0;
}

}  // namespace

void Transition::on(const event::WorkerSaid& said) {
  const std::optional<Place> place = place_of(said.connection);
  if (!place) {
    act(action::Drop{said.connection, std::nullopt}, "a connection that is not of the present group", Tone::kWarning);
    return;
  }
  const Speaker speaker{place->rank, place->member, said.connection};
  const bool is_old = said.generation < state_.generation;
  if (said.generation > state_.generation || (is_old && !facts_.elastic))
    return violation(speaker, "a message of generation " + std::to_string(said.generation.value()) + " in generation " +
                                  std::to_string(state_.generation.value()));
  if (place->rank < 0) return newcomer_said(*place->member, said.message);
  place->member->last_heard = now_;
  const bool failed = std::holds_alternative<Failed>(said.message);
  if (is_old && !failed) {  // Said before it had read its assignment to the present one.
    if (const auto* heartbeat = std::get_if<Heartbeat>(&said.message)) take_note(*place->member, *heartbeat);
    return;
  }
  if (!state_.assigned && !failed && !std::holds_alternative<Heartbeat>(said.message))
    return violation(speaker, "it says " + message_name(said.message) + " before it has its assignment");
  std::visit([&](const auto& message) { heard(speaker, message); }, said.message);
}

/// The search is for those who moved: in a group of thousands it would cost more than all else that a heartbeat does.
std::optional<Transition::Place> Transition::place_of(ConnectionId connection) {
  const auto is_it = [&](const Member& member) { return member.connected && member.connection == connection; };
  if (const auto guess = state_.found_at.find(connection); guess != state_.found_at.end()) {
    if (const auto found = state_.members.find(guess->second); found != state_.members.end() && is_it(found->second))
      return Place{found->first, &found->second};
    const auto newcomer = state_.newcomers.find(guess->second);
    if (newcomer != state_.newcomers.end() && is_it(newcomer->second)) return Place{-1, &newcomer->second};
  }
  for (auto& [rank, member] : state_.members) {
    if (!is_it(member)) continue;
    state_.found_at[connection] = rank;
    return Place{rank, &member};
  }
  for (auto& [number, member] : state_.newcomers) {
    if (!is_it(member)) continue;
    state_.found_at[connection] = number;
    return Place{-1, &member};
  }
  return std::nullopt;
}

void Transition::violation(const Speaker& speaker, const std::string& what) {
  act(action::Drop{speaker.connection, std::nullopt}, rank_name(speaker.rank) + " is cut off: " + what, Tone::kWarning);
}

template <class Other>
void Transition::heard(const Speaker& speaker, const Other& message) {
  violation(speaker, "no worker says " + message_name(Message(message)));
}

void Transition::heard(const Speaker& speaker, const Heartbeat& heartbeat) {
  take_note(*speaker.member, heartbeat);
  time_lanes(*speaker.member, heartbeat);
  speaker.member->step = heartbeat.step;
  speaker.member->phase = heartbeat.phase.substr(0, kMostPhaseBytes);
}

/// Rank 0 speaks for all: they take steps in lockstep.
void Transition::heard(const Speaker& speaker, const StepDone& done) {
  if (speaker.rank != 0) return violation(speaker, "only rank 0 reports steps");
  // Those of an elastic group may have been taken while there was no coordinator.
  if ((done.step < state_.leases.start() && !facts_.elastic) || done.step > state_.leases.end())
    return violation(speaker, "step " + std::to_string(done.step) + " is outside its lease");
  const std::string kind = kind_of(done.metrics);
  const bool trained = kind == "train";
  speaker.member->step = std::max(speaker.member->step, done.step);
  std::int64_t& newest = trained ? state_.recorded : state_.measured;
  if ((trained || kind == "heldout") && done.step <= newest) {
    note("step " + std::to_string(done.step) + " is recorded already", Tone::kQuiet);
  } else {
    if (trained || kind == "heldout") newest = done.step;
    act(action::AppendMetrics{done.metrics}, "metrics of step " + std::to_string(done.step));
  }
  if (const auto rate = measured_rate(done.metrics); rate && rate->step == done.step) measured(*rate);
  if (!trained || done.step <= state_.leases.newest()) return;
  if (facts_.elastic) forgive_losses(), launch_spares();
  speaker.member->phase = "training";
  const auto grant = state_.leases.advance(done.step, seconds_of(done.metrics));
  if (grant && state_.phase == GroupPhase::kTraining)
    grant_all(*grant, "step " + std::to_string(done.step) + " is taken");
  move_lanes_when_worthwhile();
}

/// Where patience ends, the run does; otherwise the steps to the next measurement may be granted.
void Transition::measured(const MeasuredRate& rate) {
  if (!state_.rates.empty() && state_.rates.back().step >= rate.step) return;  // known from before a restart
  state_.rates.push_back(rate);
  journal("rate_measured", {{"step", rate.step}, {"rate", rate.rate}});
  if (state_.phase != GroupPhase::kTraining) return;
  if (!early_end(facts_.early_stop, state_.rates)) {
    if (const auto grant = state_.leases.limit(furthest_step(facts_.early_stop, state_.rates, state_.leases.start())))
      grant_all(*grant, "the undesirable rate at step " + std::to_string(rate.step) + " is known");
    return;
  }
  const auto grant = state_.leases.finish();
  if (!grant) return;
  const MeasuredRate lowest = *lowest_rate(state_.rates);
  journal("early_stop",
          {{"step", rate.step}, {"rate", rate.rate}, {"lowest_rate", lowest.rate}, {"lowest_step", lowest.step}});
  const std::string reason = "training ends early at step " + std::to_string(rate.step) +
                             ": the undesirable rate was lowest at step " + std::to_string(lowest.step);
  note(reason);
  grant_all(*grant, reason);
}

/// Written beside training, which may be some steps further by now.
void Transition::heard(const Speaker& speaker, const PartWritten& part) {
  if (part.step <= committed_step()) return note("a part of a step that is committed already", Tone::kQuiet);
  if (part.step < state_.leases.start() || part.step > state_.leases.end())
    return violation(speaker, "a checkpoint of step " + std::to_string(part.step) + " is not due");
  CheckpointParts& parts = state_.parts[part.step];
  const auto completes = parts.add(part);
  if (completes.has_error()) return violation(speaker, completes.error().message);
  if (!completes.value()) return;
  CheckpointManifest manifest;
  manifest.step = Step(part.step);
  manifest.files = parts.files();
  state_.storing.insert(part.step);
  act(action::StoreCheckpoint{std::move(manifest), state_.generation},
      "every part of the checkpoint of step " + std::to_string(part.step) + " is written");
}

void Transition::on(const event::CheckpointStored& stored) {
  state_.storing.erase(stored.step);
  state_.parts.erase(stored.step);
  state_.checkpoint = CommittedCheckpoint{Step(stored.step), stored.weights_sha256};
  state_.made_up_in_vain = 0;
  if (facts_.elastic)
    forgive_losses();
  else
    state_.restarts_in_row = 0;
  journal(
      "checkpoint_committed",
      {{"step", stored.step}, {"weights_sha256", stored.weights_sha256}, {"generation", state_.generation.value()}});
  note("checkpoint of step " + std::to_string(stored.step) + " committed, weights " + stored.weights_sha256);
  send_all(Committed{stored.step, stored.weights_sha256}, "committed");
  act(action::PruneCheckpoints{Step(stored.step), state_.generation}, "older checkpoints");
  // A stop that came when the last lease was out already: the weights are safe now, the evaluation can be resumed.
  if (state_.stop_requested && state_.phase == GroupPhase::kTraining && !state_.leases.stops()) stop_training();
}

void Transition::on(const event::CheckpointNotStored& failed) {
  state_.storing.erase(failed.step);
  fail(failed.error);
}

void Transition::heard(const Speaker& speaker, const Artifact& artifact) {
  if (!is_inside_run(artifact.file)) return violation(speaker, "it names a file outside the run directory");
  note(rank_name(speaker.rank) + " wrote " + artifact.file, Tone::kQuiet);
  if (artifact.kind == "stacks" && speaker.member->hung_at)
    return give_up_hung(speaker.rank, "its stacks: " + artifact.file);
  if (artifact.kind != "snapshot_part") return;
  if (artifact.step < state_.leases.start() || artifact.step > state_.leases.end())
    return violation(speaker, "a snapshot of step " + std::to_string(artifact.step) + " is outside its lease");
  auto& ranks = state_.snapshot_ranks[artifact.step];
  const bool is_new = ranks.insert(speaker.rank).second;
  if (!is_new || static_cast<int>(ranks.size()) < state_.world) return;
  state_.aggregating.insert(artifact.step);
  act(action::AggregateSnapshot{artifact.step, state_.world},
      "every part of the snapshot of step " + std::to_string(artifact.step) + " is written");
}

void Transition::on(const event::SnapshotAggregated& aggregated) {
  state_.aggregating.erase(aggregated.step);
  if (aggregated.failed) return fail(aggregated.error);
  state_.pictured = std::max(state_.pictured, aggregated.step);
  journal("snapshot_aggregated", {{"step", aggregated.step}});
}

void Transition::heard(const Speaker& speaker, const NcclId& id) {
  if (speaker.rank != 0) return violation(speaker, "only rank 0 makes the NCCL group");
  for (const auto& [rank, member] : state_.members)
    if (rank != 0 && member.connected) act(action::Send{member.connection, id}, "relay the NCCL id");
}

void Transition::heard(const Speaker& speaker, const Failed& failed) {
  speaker.member->failed = true;
  const bool is_code = failed.code == 2 || failed.code == 3 || failed.code == 4 || failed.code == 6;
  Error error{is_code ? static_cast<ErrorCode>(failed.code) : ErrorCode::kRun, failed.message, failed.where,
              failed.hint};
  note(rank_name(speaker.rank) + " failed: " + to_string(error), Tone::kWarning);
  // A worker of an elastic group that loses another one says Ready: this is an error of its own.
  if (facts_.elastic) return fail(std::move(error));
  if (state_.failure) return;
  state_.failure = std::move(error);
  state_.failure_at = now_;
}

void Transition::heard(const Speaker& speaker, const Finished& finished) {
  if (!state_.leases.last() || state_.leases.regroups() || finished.step != state_.leases.end() ||
      committed_step() != finished.step)
    return violation(speaker,
                     "it finished at step " + std::to_string(finished.step) + ", which is not where the run ends");
  speaker.member->finished = true;
  speaker.member->phase = "finished";
  speaker.member->step = finished.step;
  const bool all =
      static_cast<int>(state_.members.size()) == state_.world &&
      std::all_of(state_.members.begin(), state_.members.end(), [](const auto& m) { return m.second.finished; });
  if (!all || state_.all_finished) return;
  state_.all_finished = true;
  state_.finished_at = now_;
  note("all workers have finished at step " + std::to_string(finished.step));
  if (facts_.elastic) dismiss_all();
}

void Transition::send_all(const Message& message, const std::string& reason) {
  for (const auto& [rank, member] : state_.members)
    if (member.connected) act(action::Send{member.connection, message}, reason);
}

void Transition::grant_all(const Grant& grant, const std::string& reason) {
  const std::string why = reason + ": steps to " + std::to_string(grant.end_step);
  LaneRange lanes;
  for (int rank = 0; rank < std::ssize(state_.shares); ++rank) {
    lanes = {lanes.end, lanes.end + state_.shares[static_cast<std::size_t>(rank)]};
    const auto member = state_.members.find(rank);
    if (member != state_.members.end() && member->second.connected)
      act(action::Send{member->second.connection, lease_of(grant, lanes)}, why);
  }
}

}  // namespace plumbline
