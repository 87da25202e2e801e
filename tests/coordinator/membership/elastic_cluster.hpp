// A simulated elastic group for tests of decide(): processes that start, join, train in lockstep over a mesh that
// breaks when one of them goes, leave a broken generation and take part in the next, as worker/elastic_worker.cpp and
// worker/stages.cpp do. Everything random comes from the seed. Messages of one connection keep their order, those of
// two do not; a process's exit and the end of its connection are seen in either order. A connection may break without
// anybody's death, and the coordinator may be killed in the middle of what it does: another one begins with what stands
// in the journal and in the metrics, while the workers train on and look for it.
//
// What a worker holds is modelled by the number of its step and a hash of how it came there, so a step that was
// computed twice, by too few lanes or from another state shows in every later one.
#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/journal/journal.hpp"
#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {

class ElasticCluster {
 public:
  struct Dangers {
    int death = 0;    ///< of 10,000 turns: one process is killed
    int torn = 0;     ///< of 10,000 collective calls: a rank dies in it, and only some of the others come out of it
    int silence = 0;  ///< of 10,000 turns: one process is suspended
    int failure = 0;  ///< of 10,000 turns: one meets an error of its own
    int refusal = 0;  ///< of 100 launches: the process ends before it joins
    int stop = 0, jump = 0, stale = 0;  ///< of 10,000 turns
    int damage = 0;                     ///< of 100 checkpoints that are looked at again
    int restart = 0;       ///< of 10,000 events: the coordinator is killed somewhere in carrying out actions
    int reconfigured = 0;  ///< of 100 restarts: under another configuration, which takes no worker over
    int resized = 0;       ///< of 100 restarts: with another number of workers
    int cut = 0;           ///< of 10,000 turns: a connection breaks, and nobody dies
    int hang = 0;          ///< of 10,000 turns: the thread that trains stands still, and its process lives
    int sever =
        0;  ///< of 10,000 turns: what one worker sends to another is lost from now on, perhaps in both directions
  };

  ElasticCluster(std::uint64_t seed, const RunFacts& facts, const Dangers& dangers)
      : random_(seed),
        drive_(facts),
        dangers_(dangers),
        save_every_(static_cast<std::int64_t>(1 + random_() % 5)),
        measure_every_(static_cast<std::int64_t>(1 + random_() % 4)),
        picture_every_(static_cast<std::int64_t>(2 + random_() % 6)),
        writing_turns_(kWritingTurns[random_() % std::size(kWritingTurns)]) {
    drive_.facts().checkpoint_every = save_every_;
  }

  /// Runs to the end; the outcome.
  action::EndRun run();

  [[nodiscard]] const Drive& drive() const { return drive_; }
  [[nodiscard]] int generations() const { return static_cast<int>(generation_); }
  [[nodiscard]] int deaths() const { return deaths_; }
  [[nodiscard]] int severed() const { return severed_; }            ///< ways between two workers
  [[nodiscard]] int joins() const { return joins_; }                ///< of newcomers to a group that trains
  [[nodiscard]] int from_files() const { return from_files_; }      ///< generations after the first that began so
  [[nodiscard]] int late_commits() const { return late_commits_; }  ///< of steps that somebody had left behind by then
  [[nodiscard]] int given_up() const { return given_up_; }          ///< checkpoints, by one who wrote them
  [[nodiscard]] int made_up() const { return made_up_; }            ///< commits of steps at which none was due
  [[nodiscard]] bool fallen_back() const { return fallen_back_; }
  [[nodiscard]] bool failed_on_its_own() const { return failed_on_its_own_; }
  [[nodiscard]] int restarts() const { return restarts_; }        ///< of the coordinator
  [[nodiscard]] int taken_over() const { return taken_over_; }    ///< workers that found another coordinator
  [[nodiscard]] int dismissed() const { return dismissed_; }      ///< workers, while others trained on
  [[nodiscard]] int steps_taken() const { return steps_taken_; }  ///< with those that were taken twice

 private:
  static constexpr std::uint64_t kWritingTurns[] = {1, 4, 20, 80};
  /// Where a worker's thread is. From kBuild to kEvaluate it waits for all ranks of its mesh.
  enum class At {
    kStart,
    kWelcome,
    kPrepare,
    kReady,  // before and between generations
    kGather,
    kBuild,
    kJoin,
    kMeasure,
    kStep,
    kEvaluate,  // with all ranks
    kDue,
    kSave,
    kCommit,
    kPicture,
    kLease,
    kFinish,
    kFinished,
    kGone,  // alone
  };
  /// A connection to the coordinator.
  struct Link {
    std::uint64_t id = 0;
    std::size_t worker = 0;  ///< in workers_
    bool open = true;        ///< the coordinator that it leads to lives and has not seen its end
    bool broken = false;     ///< what has arrived is read, nothing more comes
    bool hidden = false;     ///< … and the coordinator does not see that
    bool again = false;      ///< the worker has been in a generation
    bool welcomed = false;   ///< the coordinator has let the worker in
    bool dropped = false;    ///< the coordinator has ended it itself
    std::deque<std::pair<std::uint64_t, Message>> said;
    std::deque<Message> unread;
  };
  struct Worker {
    int number = 0;
    std::int64_t pid = 0;
    std::string group;
    At at = At::kStart;
    bool alive = true, suspended = false;
    bool hung = false;       ///< its thread; the session's goes on
    std::uint64_t work = 1;  ///< turns of its thread
    bool far = false;        ///< on another host than the coordinator
    bool watched = false;    ///< the present coordinator launched or adopted it and has not seen its end
    int status = 0;          ///< once it is not alive
    // The session.
    std::uint64_t link = 0;  ///< 0: none
    bool looking = false;    ///< for another coordinator, since
    int looking_since = 0;
    std::uint64_t spoken = 0;
    std::optional<Assignment> next;
    std::deque<StepDone> reports;  ///< of steps since the newest commit that it knows of
    std::optional<Lease> lease;
    std::int64_t committed = -1;
    bool interrupted = false, dismissed = false;
    std::vector<int> unreached;  ///< ranks, until it says so
    // Training.
    Assignment place;
    bool holds = false, finishing = false;
    std::int64_t step = -1;
    std::uint64_t content = 0;
    std::int64_t saved = -1, measured = -1, pictured = -1;
    int due = 0;
    At after_commit = At::kDue;  ///< what follows At::kCommit
    // Its writer, beside training: the step whose checkpoint is under way, until it is committed; and whether its parts
    // are still to be written.
    std::int64_t saving = -1;
    bool writing = false;
  };
  struct Mesh {
    std::vector<std::size_t> ranks;  ///< worker by rank
    int world = 0;                   ///< ranks that were to be told, by a coordinator that lived long enough
    bool broken = false;
  };

  std::uint64_t roll(std::uint64_t sides) { return random_() % sides; }
  /// Faults come to an end, so that a run that does not end is a fault of the coordinator.
  [[nodiscard]] bool calm() const { return turns_ > 8'000; }
  bool happens(int in_ten_thousand) {
    return in_ten_thousand > 0 && !calm() && static_cast<int>(roll(10'000)) < in_ten_thousand;
  }
  std::uint64_t chain(std::int64_t step);
  static std::uint64_t mixed(std::uint64_t content, std::int64_t step);

  // faults and the world: elastic_cluster.cpp
  void feed(const Event& event);
  void decide_on(const Event& event);
  void turn();
  void wreck();
  bool settle_files();
  CommittedCheckpoint newest_whole(std::vector<SetAsideCheckpoint>& set_aside);
  void launch(int number);
  void leave_world(Worker& worker, int status);
  bool read_one();
  bool report_exit();
  void say_something_stale();
  void check_end();
  void check_measured() const;
  void check_numbers() const;

  // connections, and coordinators that are killed: elastic_restarts.cpp
  void kill_coordinator();
  void begin_again();
  RunState recorded_state(const RunRecord& record);
  [[nodiscard]] std::vector<std::int64_t> steps_of_metrics(const std::string& kind) const;
  void cut_some_connection();
  void sever_some_way();
  void say_hello(Worker& worker);
  bool tend(Worker& worker);
  void notice_end(Worker& worker);
  void look_for_another(Worker& worker);
  void take_up(Worker& worker, const Welcome& welcome);
  void refused(Worker& worker, const Failed& why);

  // the coordinator's actions: elastic_actions.cpp
  template <class Other>
  void carry_out(const Other&) {}
  void carry_out(const action::StartGroup& start);
  void carry_out(const action::StartWorker& start);
  void carry_out(const action::AdoptWorker& adopt);
  void carry_out(const action::KillWorker& kill);
  void carry_out(const action::EndGroup& end);
  void carry_out(const action::Welcome& welcome);
  void carry_out(const action::Assign& assign);
  void carry_out(const action::Send& sent);
  static Assignment whole(const action::Assign& assign);
  void carry_out(const action::Drop& drop);
  void carry_out(const action::StoreCheckpoint& store);
  void carry_out(const action::VerifyCheckpoint&);
  void carry_out(const action::AggregateSnapshot& aggregate);
  void carry_out(const action::AppendJournal& append);
  void carry_out(const action::AppendMetrics& append);
  void carry_out(const action::EndRun& end);
  static void send(Link& link, const Message& message);
  void begin_generation(const action::Assign& first);
  void check_make_up(const Assignment& given);
  void check_lease(const Worker& worker, const Lease& lease);

  // a worker: elastic_worker.cpp
  void act(Worker& worker);
  [[nodiscard]] static Heartbeat heartbeat_of(const Worker& worker);
  void read(Worker& worker);
  void say(Worker& worker, Message message);
  void take_part(Worker& worker);
  void leave_generation(Worker& worker);
  void do_what_is_due(Worker& worker);
  void follow_lease(Worker& worker);
  void finish(Worker& worker);
  void meet(Worker& worker);
  bool waits_for_severed(Worker& worker, const Mesh& mesh);
  void complete(Mesh& mesh, At what);
  void come_out(Worker& worker, At what);
  void save(Worker& worker);
  bool write_parts(Worker& worker);
  void await_commit(Worker& worker);
  void join(Mesh& mesh, std::optional<std::size_t> dies);
  void take_over_reports(Worker& worker);

  Link* find(ConnectionId connection);
  Link& link_of(const Worker& worker) { return links_.at(static_cast<std::size_t>(worker.link - 1)); }
  Worker* running(int number);
  [[nodiscard]] bool takes_part(const Worker& worker) const;
  [[nodiscard]] int world(const Worker& worker) const { return worker.place.world; }
  [[nodiscard]] const RunFacts& facts() const { return drive_.facts(); }

  std::mt19937_64 random_;
  Drive drive_;
  Dangers dangers_;
  std::int64_t save_every_, measure_every_, picture_every_;
  std::uint64_t writing_turns_;           ///< of a worker, on average, until it has written its part of a checkpoint
  std::deque<Worker> workers_;            ///< every process there ever was
  std::deque<Link> links_;                ///< every connection there ever was; the first is 1
  std::map<std::uint64_t, Mesh> meshes_;  ///< by generation
  std::set<std::pair<std::int64_t, std::int64_t>> deaf_;  ///< pids: the first hears nothing of the second
  std::vector<std::uint64_t> chain_{1};                   ///< what an undisturbed run holds, by step
  std::vector<std::int64_t> commits_;                     ///< that stand, ascending
  std::map<std::int64_t, std::uint64_t> files_;           ///< content of checkpoints by step
  std::map<std::pair<std::uint64_t, std::int64_t>, std::uint64_t> partial_;  ///< of parts, by generation and step
  std::set<std::int64_t> last_saves_;  ///< steps that were saved as a lease's last
  std::set<std::int64_t> trained_lines_, held_out_lines_;
  std::set<std::int64_t> void_trained_, void_held_out_;  ///< of them, those of steps that are taken anew
  std::string metrics_;                                  ///< the file, whole
  std::vector<JournalEntry> journal_;
  std::map<std::pair<std::uint64_t, std::int64_t>, std::set<std::string>> reported_;
  std::uint64_t generation_ = 0;
  int turns_ = 0;
  std::int64_t generation_start_ = 0;
  std::string group_;
  bool say_started_ = false, verifying_ = false, verified_ = true, stop_asked_ = false, failed_on_its_own_ = false,
       fallen_back_ = false, ending_ = false;
  bool fresh_ = false;  ///< the group was launched by this coordinator and has had no generation
  // The coordinator.
  bool up_ = true, deciding_ = false;
  std::deque<Event> events_;
  std::set<int> out_of_reach_;           ///< adopted workers of other hosts
  std::chrono::milliseconds waited_{0};  ///< of its life
  std::optional<std::int64_t> storing_;
  std::set<std::int64_t> aggregating_;
  std::optional<Assignment> shared_;  ///< what the ranks of the present generation were told
  int deaths_ = 0, joins_ = 0, from_files_ = 0, restarts_ = 0, taken_over_ = 0, steps_taken_ = 0, late_commits_ = 0,
      given_up_ = 0, made_up_ = 0, dismissed_ = 0, severed_ = 0;
  std::optional<action::EndRun> ended_;
};

}  // namespace plumbline
