// A worker's side of the control plane: two threads beside the one that trains. The reader keeps the newest assignment,
// lease and commit (so nothing piles up); the other says every heartbeat_ms how far the worker is. When the connection
// is lost the worker has no business going on: on_lost is called, on the reader's thread, and must not return.
//
// A worker of an elastic group lives through several generations. Between two it is ready() for the next; when the
// coordinator wants one the interrupt is raised, which ends every wait here and in the collective. It may outlive its
// coordinator too: then it trains as far as its lease goes, looks for another one where the run directory says, and
// once it has found it the interrupt is raised as well. A coordinator that says nothing may be cut off, or stopped, and
// not hang up: the run directory is looked at meanwhile, and where it names another the connection counts as lost. What
// it reports meanwhile is kept and said again. at(), send(), report() and leave() may be called from any thread; the
// waits from the training thread.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/core/result.hpp"
#include "common/wire/client.hpp"
#include "worker/collective/interrupt.hpp"

namespace plumbline {

struct SessionOptions {
  std::chrono::milliseconds heartbeat{250}, timeout{60'000};
  std::function<void(const Error&)> on_lost;
  std::chrono::milliseconds orphan{0};  ///< how long to look for another coordinator when this one is lost
  /// Writes the stacks of all threads after this heading; where they are, relative to the run directory.
  std::function<Result<std::string>(const std::string& heading)> write_stacks;
};

class Session {
 public:
  /// Connects and proves the secret. Errors as ControlClient::connect.
  static Result<std::unique_ptr<Session>> join(const std::filesystem::path& run_dir, Hello hello,
                                               SessionOptions options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Of the first coordinator.
  [[nodiscard]] const Welcome& welcome() const { return welcome_; }
  /// Waits for the assignment that comes after the one that was taken last; from now on what is sent is of its
  /// generation. Nothing when the worker is dismissed instead.
  [[nodiscard]] std::optional<Assignment> next_assignment();
  /// The same for an elastic worker, which first says what it holds (again, if it comes to another coordinator).
  [[nodiscard]] std::optional<Assignment> ready(const Ready& holding);
  /// For one who has finished: waits until the run needs this worker no more (true) or a new generation is to begin.
  [[nodiscard]] bool dismissed();
  /// What heartbeats say from now on.
  void at(std::int64_t step, std::string phase);
  /// Of the newest step: its own computing, over its lanes. Seconds.
  void took(double lane_seconds);
  /// A run error when the connection is lost; without one when another coordinator is looked for, which then knows
  /// nothing of it.
  Status send(const Message& message);
  /// Keeps a step's report; rank 0 sends it too. Every rank keeps the same reports, since any may be rank 0 next.
  Status report(const StepDone& done, int rank);
  /// Says the kept reports again that the assignment's coordinator does not have; forgets them where it begins from
  /// the files.
  Status report_again(const Assignment& assignment);
  /// The kept reports that the assignment's coordinator does not have, as text for another rank: whoever takes over
  /// this rank's state may be the next to say them.
  [[nodiscard]] std::string unrecorded(const Assignment& assignment) const;
  /// Keeps another rank's unrecorded() reports beside its own. A run error when the text is none.
  Status take_over(const std::string& reports);
  /// There is a coordinator.
  [[nodiscard]] bool connected() const;
  /// Waits until a lease reaches beyond `step`, or the last one ends at it. A run error when the generation is over, as
  /// from the next two.
  [[nodiscard]] Result<Lease> lease_beyond(std::int64_t step);
  /// The checkpoint that this generation's coordinator committed last, if it did.
  [[nodiscard]] std::optional<Committed> newest_commit() const;
  /// Waits until the coordinator has committed the checkpoint of `step`; the weights' SHA-256.
  [[nodiscard]] Result<std::string> committed(std::int64_t step);
  /// The identifier of a NCCL group that rank 0 made, relayed by the coordinator.
  [[nodiscard]] Result<std::string> nccl_id();
  /// Raised from when the coordinator ends the generation until it begins the next.
  [[nodiscard]] const Interrupt& interrupt() const { return interrupt_; }
  /// From now on the end of the connection is expected. Stops the threads.
  void leave();

 private:
  Session(std::filesystem::path run_dir, Hello hello, ControlClient client, SessionOptions options);
  [[nodiscard]] std::shared_ptr<ControlClient> client() const;
  void read();
  /// The coordinator has said nothing for a while. True when another has taken its place.
  [[nodiscard]] bool is_replaced() const;
  /// Looks for another coordinator; false when the worker leaves meanwhile.
  bool find_another(const Error& lost);
  void take_up(std::shared_ptr<ControlClient> client);
  void keep(Message message);
  void beat();
  /// The coordinator takes this worker for hung and wants to know where.
  void describe_hang(const std::string& reason);
  [[nodiscard]] Heartbeat heartbeat() const;
  /// Waits for `condition`, or the end of the generation.
  template <class Condition>
  Status wait_for(std::unique_lock<std::mutex>& lock, const Condition& condition);

  std::filesystem::path run_dir_;
  Hello hello_;
  SessionOptions options_;
  Welcome welcome_;
  Interrupt interrupt_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<ControlClient> client_;
  bool connected_ = true, leaving_ = false, dismissed_ = false;
  std::optional<Ready> ready_;    ///< while an assignment is waited for
  std::deque<StepDone> reports_;  ///< of steps after the newest commit
  std::int64_t step_ = 0;
  std::string phase_ = "starting";
  double lane_seconds_ = 0;
  std::optional<Assignment> assignment_;  ///< until it is taken
  std::optional<Lease> lease_;
  std::optional<Committed> committed_;
  std::optional<std::string> nccl_id_;
  std::thread reader_, beater_;
};

}  // namespace plumbline
