// One call of decide() in the making: reads the event, changes the state, collects actions. Private to this room; what
// each event does stands in joining.cpp, elastic.cpp, severed.cpp, processes.cpp, progress.cpp, hangs.cpp, silence.cpp,
// lanes.cpp and ending.cpp.
#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/membership/decide.hpp"
#include "coordinator/schedule/make_up.hpp"

namespace plumbline {

class Transition {
 public:
  Transition(const RunFacts& facts, RunState state, SteadyTime now)
      : facts_(facts), state_(std::move(state)), now_(now) {}
  Decision result() && { return {std::move(state_), std::move(actions_)}; }

  void on(const event::Begin&);
  void on(const event::GroupStarted&);
  void on(const event::GroupNotStarted&);
  void on(const event::GroupExited&);
  void on(const event::WorkerExited&);
  void on(const event::WorkerCame&);
  void on(const event::WorkerSaid&);
  void on(const event::ConnectionLost&);
  void on(const event::CheckpointStored&);
  void on(const event::CheckpointNotStored&);
  void on(const event::CheckpointVerified&);
  void on(const event::NoCheckpointVerifies&);
  void on(const event::SnapshotAggregated&);
  void on(const event::RecordFailed&);
  void on(const event::StopRequested&);
  void on(const event::Tick&);
  /// After every event: begins the next generation of an elastic group when all is ready for it, and closes the books
  /// on a group of which nothing is left.
  void settle();

 private:
  struct Speaker {
    int rank;
    Member* member;
    ConnectionId connection;
  };

  // joining.cpp
  void start_group(const std::string& reason);
  void verify_checkpoint();
  void assign_when_ready();
  void begin_generation(std::int64_t start, int source);
  void plan_make_up(std::int64_t start);
  [[nodiscard]] std::optional<Error> why_refused(const Hello& hello) const;
  [[nodiscard]] std::optional<Error> fingerprint_conflict(int rank) const;
  [[nodiscard]] Error fingerprint_error(const std::string& who, const std::string& fingerprint,
                                        const std::string& expected) const;

  // severed.cpp
  void note_unreached(int rank, const std::vector<int>& unreached);
  void part_with_severed();

  // elastic.cpp
  struct Place {
    int rank;  ///< in the present generation; -1: a newcomer
    Member* member;
  };
  void admit_newcomer(const event::WorkerCame& came);
  [[nodiscard]] std::optional<Error> why_newcomer_refused(const Hello& hello) const;
  [[nodiscard]] std::optional<Error> conflict_with_others(const Hello& hello) const;
  [[nodiscard]] std::optional<Place> place_of(ConnectionId connection);
  /// Of the group or a newcomer to it; nullptr: no worker of this number has come.
  [[nodiscard]] const Member* member_of_number(int number) const;
  void newcomer_said(Member& newcomer, const Message& message);
  void lose_worker(int rank, const std::string& reason);
  void lose_newcomer(int number, const std::string& reason);
  void give_up(const Member& member);
  void process_gone(const event::WorkerExited& exited);
  void begin_regrouping(const std::string& reason);
  void replace(const event::WorkerExited& exited);
  void forgive_losses();
  void launch_spares();
  void launch(int number, const std::string& reason, bool again = true);
  bool fails_too_often(int number);
  void adopt();
  void adopt_no_more();
  void dismiss_surplus();
  [[nodiscard]] bool is_orphan(const Hello& hello) const;
  [[nodiscard]] bool holds_state(const Member& member) const;
  [[nodiscard]] bool can_take_part(const Member& member) const {
    return member.ready && !member.failed && !state_.dismissed.contains(member.number);
  }
  [[nodiscard]] std::ptrdiff_t wanted() const { return facts_.workers + facts_.spares; }
  void start_over_when_nothing_is_held();
  void fail_when_too_few();
  void regroup_when_ready();
  void stop_unless_someone_may_hold_state();
  void regroup();
  void grow_when_possible();
  void look_for_silence();
  [[nodiscard]] std::chrono::milliseconds leaving_time(const Member& member) const;
  void kill_who_does_not_come();
  [[nodiscard]] std::set<int> numbers_of_members() const;
  void dismiss_all();
  void conclude_elastic_when_gone();

  // progress.cpp
  void heard(const Speaker&, const Heartbeat&);
  void heard(const Speaker&, const StepDone&);
  void heard(const Speaker&, const PartWritten&);
  void heard(const Speaker&, const Artifact&);
  void heard(const Speaker&, const NcclId&);
  void heard(const Speaker&, const Failed&);
  void heard(const Speaker&, const Finished&);
  void heard(const Speaker&, const Ready&);
  template <class Other>
  void heard(const Speaker&, const Other&);
  /// A worker said what none of ours says: its connection is ended, and with it the group.
  void violation(const Speaker&, const std::string& what);
  void measured(const MeasuredRate& rate);
  void send_all(const Message& message, const std::string& reason);
  void grant_all(const Grant& grant, const std::string& reason);

  // hangs.cpp
  void take_note(Member& member, const Heartbeat& heartbeat);
  void look_for_hangs();
  [[nodiscard]] bool hangs(const Member& member) const;
  [[nodiscard]] bool owes_nothing() const;
  void suspect(int rank, const std::string& how);
  void give_up_hung(int rank, const std::string& stacks);
  void look_at_waiting();
  [[nodiscard]] bool has_stood_still() const;
  [[nodiscard]] std::optional<int> rank_at_fault() const;
  [[nodiscard]] std::chrono::milliseconds patience(const std::string& stage) const;
  [[nodiscard]] std::optional<std::chrono::milliseconds> learned_patience(const std::string& stage) const;
  void learn(const std::string& stage, std::chrono::milliseconds gap);

  // lanes.cpp
  void time_lanes(Member& member, const Heartbeat& heartbeat);
  void share_lanes();
  void move_lanes_when_worthwhile();
  [[nodiscard]] std::vector<double> lane_pace() const;

  // ending.cpp
  void stop_training();
  void end_group(const std::string& reason, bool by_force = false);
  void lose(int rank, const std::string& reason);
  void fail(Error error);
  void conclude_when_gone();
  void conclude();
  void end_failed(Error error);
  void end_stopped();
  void restart_or_fail();
  [[nodiscard]] bool lost_after_a_failure() const;
  [[nodiscard]] bool failed_of_its_own() const;
  [[nodiscard]] Error too_many_deaths(const Error& last) const;
  [[nodiscard]] Error death_by_hand(const Error& last) const;
  void drop_orphans();
  void send_away();
  void forget_group();

  [[nodiscard]] bool has_group() const {
    return state_.phase == GroupPhase::kGathering || state_.phase == GroupPhase::kTraining ||
           state_.phase == GroupPhase::kRegrouping;
  }
  [[nodiscard]] bool anyone_connected();
  /// Of the newest committed checkpoint: where a group takes up training. 0: at the start model.
  [[nodiscard]] std::int64_t committed_step() const { return state_.checkpoint ? state_.checkpoint->step.value() : 0; }
  [[nodiscard]] std::string rank_name(int rank) const;
  void enter(GroupPhase phase) {
    state_.phase = phase;
    state_.phase_since = now_;
  }
  template <class What>
  void act(What what, std::string reason, Tone tone = Tone::kQuiet) {
    actions_.push_back({std::move(what), std::move(reason), tone});
  }
  void note(std::string reason, Tone tone = Tone::kInfo) { act(action::Note{}, std::move(reason), tone); }
  void journal(std::string event, Json data, bool required = true) {
    act(action::AppendJournal{std::move(event), std::move(data), required}, "journal");
  }

  const RunFacts& facts_;
  RunState state_;
  SteadyTime now_;
  std::vector<Action> actions_;
};

}  // namespace plumbline
