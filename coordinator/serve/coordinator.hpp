// The shell around decide(): feeds it what happens on sockets, processes, timers and signals, and carries out what it
// answers. One event loop on one thread owns everything here; verification, aggregation and the report run on a second
// thread, so that heartbeats are read while gigabytes are hashed, and a status that lists thousands is written on a
// third. What is told to workers goes through `turns_`, in which thousands are told a few at a time.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "common/data/dataset.hpp"
#include "coordinator/aggregate/desired_fall.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/membership/decide.hpp"
#include "coordinator/schedule/retention.hpp"
#include "coordinator/serve/admission.hpp"
#include "coordinator/serve/event_log.hpp"
#include "coordinator/serve/off_loop.hpp"
#include "coordinator/serve/peer.hpp"
#include "coordinator/serve/progress.hpp"
#include "coordinator/serve/repeated_lines.hpp"
#include "coordinator/serve/run.hpp"
#include "coordinator/serve/turns.hpp"

namespace plumbline {

/// A run that may be served: checked, its journal locked.
struct ServableRun {
  RunLayout layout;
  RunConfig config;
  Journal journal;
  Dataset dataset;
  std::unique_ptr<Launcher> launcher;
  RunFacts facts;
  RunState state;  ///< from the journal
  std::string secret;
  TlsContext tls;  ///< of the secret
  Progress progress;
  DesiredWatch desired;
  std::vector<HeldOutMeasure> measures;  ///< on the way to where training is: which checkpoints are the best
  EventLog events;
  Clock clock;
  std::chrono::milliseconds tick{100};
  PeerLimits limits;
  AdmissionLimits admission;
};

class Coordinator final : public PeerOwner {
 public:
  explicit Coordinator(ServableRun run);
  ~Coordinator() override;

  /// Listens, writes coordinator.json, and serves until the run's end. Once.
  Result<RunOutcome> serve();

 private:
  // Peers.
  boost::asio::awaitable<void> accept_all(boost::asio::ip::tcp::acceptor acceptor);
  boost::asio::awaitable<void> make_room();
  void admit(boost::asio::ip::tcp::socket socket);
  void on_hello(Peer& peer, const Hello& hello) override;
  void on_message(Peer& peer, Generation generation, Message message) override;
  void on_closed(Peer& peer, const std::string& reason) override;
  void answer_client(Peer& peer, const Message& message);
  void answer_status(Peer& peer, bool all);
  [[nodiscard]] std::string stop_reply() const;

  // Time and signals.
  boost::asio::awaitable<void> tick();
  [[nodiscard]] SteadyTime now() const { return run_.clock() - away_; }
  boost::asio::awaitable<void> take_signals();

  // Decisions.
  void feed(Event event);
  void decide_on(const Event& event);
  /// Is the run another coordinator's by now (claim.hpp)? What follows from that has been done then.
  bool superseded();
  /// Writes a line of the log, or counts it (RepeatedLines).
  void say(Tone tone, const std::string& line);
  /// `task` with the peer, when its turn comes and if it is still there.
  void in_turn(ConnectionId id, std::function<void(Peer&)> task);
  void carry_out(const action::StartGroup& start);
  void carry_out(const action::StartWorker& start);
  void carry_out(const action::AdoptWorker& adopt);
  void carry_out(const action::KillWorker& kill);
  void carry_out(const action::EndGroup& end);
  void carry_out(const action::Welcome& welcome);
  void carry_out(const action::Assign& assign);
  void carry_out(const action::Send& send);
  void carry_out(const action::Drop& drop);
  void carry_out(const action::StoreCheckpoint& store);
  void carry_out(const action::VerifyCheckpoint& verify);
  void carry_out(const action::PruneCheckpoints& prune);
  void carry_out(const action::AggregateSnapshot& aggregate);
  void carry_out(const action::AppendJournal& append);
  void carry_out(const action::AppendMetrics& append);
  void carry_out(const action::EndRun& end);
  void carry_out(const action::Note&) {}
  Status start_elastic_group(const action::StartGroup& start, const std::string& group);
  Status start_worker(int number, const std::string& group, bool elsewhere);
  void watch_worker(int number, std::unique_ptr<WorkerGroup> process);
  /// Calls `exited` on the loop once the process behind `pidfd` has ended.
  template <class Exited>
  void watch(std::optional<boost::asio::posix::stream_descriptor>& descriptor, int pidfd, Exited exited);
  void record(const Status& status);

  // The run's end.
  void summarize();
  void finish(Status reported);
  void end_failed(const Error& error);
  void end(Result<RunOutcome> outcome);

  Status publish_address();
  Peer* find(ConnectionId id);
  /// Runs `coroutine` on the loop; what it throws ends the run.
  void spawn(boost::asio::awaitable<void> coroutine);
  /// Runs `work` on the second thread, then `then` with its result on the loop.
  template <class Work, class Then>
  void off_loop(Work work, Then then) {
    plumbline::off_loop(io_, worker_thread_, std::move(work), std::move(then));
  }

  ServableRun run_;
  boost::asio::io_context io_;
  boost::asio::thread_pool worker_thread_{1}, answer_thread_{1};
  Turns turns_{io_};
  boost::asio::signal_set signals_;
  std::map<ConnectionId, std::shared_ptr<Peer>> peers_;
  ConnectionId newest_peer_;
  std::set<ConnectionId> answered_off_loop_;  ///< clients whose long answer is being written
  Admission admission_;
  boost::asio::steady_timer room_;  ///< cancelled when a stranger has proved the key, or is gone
  /// What one call of the launcher started.
  struct Launched {
    std::unique_ptr<WorkerGroup> process;
    std::optional<boost::asio::posix::stream_descriptor> exit;
  };
  Launched group_;                   ///< a static group
  std::map<int, Launched> workers_;  ///< an elastic group's, by number
  std::set<int> out_of_reach_;       ///< of it: launched by another coordinator, on another host
  std::deque<Event> events_;
  RepeatedLines lines_;
  std::optional<Error> record_error_;  ///< set by an action that could not be recorded
  bool deciding_ = false, published_ = false, superseded_ = false;
  std::chrono::steady_clock::time_point looked_at_claim_;
  std::int64_t num_probe_rows_ = 0;
  int port_ = 0;
  SteadyTime started_;
  /// In which the loop stood still: a stopped process, a disk that blocks. Nobody was silent then, but not heard.
  std::chrono::milliseconds away_{};
  std::optional<Result<RunOutcome>> outcome_;
};

}  // namespace plumbline
