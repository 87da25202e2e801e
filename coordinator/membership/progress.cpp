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
  const auto found = std::find_if(state_.members.begin(), state_.members.end(), [&](const auto& m) {
    return m.second.connected && m.second.connection == said.connection;
  });
  if (found == state_.members.end()) {
    act(action::Drop{said.connection, std::nullopt}, "a connection that is not of the present group", Tone::kWarning);
    return;
  }
  const Speaker speaker{found->first, &found->second, said.connection};
  if (!state_.welcomed || said.generation != state_.generation)
    return violation(speaker, "a message of generation " + std::to_string(said.generation.value()) + " in generation " +
                                  std::to_string(state_.generation.value()));
  found->second.last_heard = now_;
  std::visit([&](const auto& message) { heard(speaker, message); }, said.message);
}

void Transition::violation(const Speaker& speaker, const std::string& what) {
  act(action::Drop{speaker.connection, std::nullopt}, rank_name(speaker.rank) + " is cut off: " + what, Tone::kWarning);
}

template <class Other>
void Transition::heard(const Speaker& speaker, const Other& message) {
  violation(speaker, "no worker says " + message_name(Message(message)));
}

void Transition::heard(const Speaker& speaker, const Heartbeat& heartbeat) {
  speaker.member->step = heartbeat.step;
  speaker.member->phase = heartbeat.phase.substr(0, kMostPhaseBytes);
}

/// Rank 0 speaks for all: they take steps in lockstep.
void Transition::heard(const Speaker& speaker, const StepDone& done) {
  if (speaker.rank != 0) return violation(speaker, "only rank 0 reports steps");
  if (done.step < state_.leases.start() || done.step > state_.leases.end())
    return violation(speaker, "step " + std::to_string(done.step) + " is outside its lease");
  const bool trained = kind_of(done.metrics) == "train";
  if (trained && done.step <= state_.leases.newest())
    return note("step " + std::to_string(done.step) + " is known already", Tone::kQuiet);
  speaker.member->step = std::max(speaker.member->step, done.step);
  act(action::AppendMetrics{done.metrics}, "metrics of step " + std::to_string(done.step));
  if (const auto rate = measured_rate(done.metrics); rate && rate->step == done.step) measured(*rate);
  if (!trained) return;
  speaker.member->phase = "training";
  const auto grant = state_.leases.advance(done.step, seconds_of(done.metrics));
  if (grant && state_.phase == GroupPhase::kTraining)
    grant_all(*grant, "step " + std::to_string(done.step) + " is taken");
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

void Transition::heard(const Speaker& speaker, const PartWritten& part) {
  if (part.step <= committed_step()) return note("a part of a step that is committed already", Tone::kQuiet);
  if (part.step < state_.leases.newest() || part.step > state_.leases.end())
    return violation(speaker, "a checkpoint of step " + std::to_string(part.step) + " is not due");
  CheckpointParts& parts = state_.parts[part.step];
  const auto completes = parts.add(part);
  if (completes.has_error()) return violation(speaker, completes.error().message);
  if (!completes.value()) return;
  CheckpointManifest manifest;
  manifest.step = Step(part.step);
  manifest.files = parts.files();
  state_.storing.insert(part.step);
  act(action::StoreCheckpoint{std::move(manifest)},
      "every part of the checkpoint of step " + std::to_string(part.step) + " is written");
}

void Transition::on(const event::CheckpointStored& stored) {
  state_.storing.erase(stored.step);
  state_.parts.erase(stored.step);
  state_.checkpoint = CommittedCheckpoint{Step(stored.step), stored.weights_sha256};
  state_.restarts_in_row = 0;
  journal(
      "checkpoint_committed",
      {{"step", stored.step}, {"weights_sha256", stored.weights_sha256}, {"generation", state_.generation.value()}});
  note("checkpoint of step " + std::to_string(stored.step) + " committed, weights " + stored.weights_sha256);
  send_all(Committed{stored.step, stored.weights_sha256}, "committed");
  act(action::PruneCheckpoints{Step(stored.step)}, "older checkpoints");
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
  if (state_.failure) return;
  state_.failure = std::move(error);
  state_.failure_at = now_;
}

void Transition::heard(const Speaker& speaker, const Finished& finished) {
  if (!state_.leases.last() || finished.step != state_.leases.end() || committed_step() != finished.step)
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
}

void Transition::send_all(const Message& message, const std::string& reason) {
  for (const auto& [rank, member] : state_.members)
    if (member.connected) act(action::Send{member.connection, message}, reason);
}

void Transition::grant_all(const Grant& grant, const std::string& reason) {
  for (const auto& [rank, member] : state_.members)
    if (member.connected)
      act(action::Send{member.connection, lease_of(grant, rank, state_.world, facts_.lanes)},
          reason + ": steps to " + std::to_string(grant.end_step));
}

}  // namespace plumbline
