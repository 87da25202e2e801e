#include "worker/session.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "worker/activity.hpp"

namespace plumbline {

namespace {
/// How long the reader waits before it looks whether the worker is leaving.
constexpr std::chrono::milliseconds kReadTimeout{100};
/// Silence of a coordinator that is none yet; then whether there is another is looked at so often. Thousands of workers
/// share the file system.
constexpr std::chrono::milliseconds kSilence{2'000}, kLookAtFile{1'000};
/// Between two looks for another coordinator, and for one to answer.
constexpr std::chrono::milliseconds kLookAgain{50}, kConnectTimeout{10'000};
/// Of steps without a checkpoint between them; older reports are given up.
constexpr std::size_t kMostReports = 20'000;

/// "train", "heldout".
std::string kind_of(const StepDone& done) {
  const auto kind = done.metrics.find("kind");
  return kind != done.metrics.end() && kind->is_string() ? kind->get<std::string>() : std::string();
}
}  // namespace

Result<std::unique_ptr<Session>> Session::join(const std::filesystem::path& run_dir, Hello hello,
                                               SessionOptions options) {
  PLUMBLINE_ASSIGN(ControlClient client, ControlClient::connect(run_dir, hello, options.timeout));
  return std::unique_ptr<Session>(new Session(run_dir, std::move(hello), std::move(client), std::move(options)));
}

Session::Session(std::filesystem::path run_dir, Hello hello, ControlClient client, SessionOptions options)
    : run_dir_(std::move(run_dir)),
      hello_(std::move(hello)),
      options_(std::move(options)),
      welcome_(client.welcome()),
      client_(std::make_shared<ControlClient>(std::move(client))) {
  reader_ = std::thread([this] { read(); });
  beater_ = std::thread([this] { beat(); });
}

Session::~Session() { leave(); }

std::shared_ptr<ControlClient> Session::client() const {
  const std::lock_guard lock(mutex_);
  return client_;
}

bool Session::connected() const {
  const std::lock_guard lock(mutex_);
  return connected_;
}

std::optional<Assignment> Session::next_assignment() {
  const Activity::Wait wait(kWaitsForCoordinator);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return assignment_ || dismissed_; });
  ready_.reset();
  if (!assignment_) return std::nullopt;
  hello_.generation = assignment_->generation;
  client_->speak_in(assignment_->generation);
  step_ = assignment_->start_step, phase_ = "starting";
  return std::exchange(assignment_, std::nullopt);
}

std::optional<Assignment> Session::ready(const Ready& holding) {
  {
    // Under the lock, or take_up() might say it a second time to the same coordinator.
    const std::lock_guard lock(mutex_);
    ready_ = holding;
    static_cast<void>(client_->send(holding));  // Where it gets lost, the next coordinator is told.
  }
  return next_assignment();
}

bool Session::dismissed() {
  const Activity::Wait wait(kWaitsForCoordinator);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return dismissed_ || interrupt_.raised(); });
  return dismissed_;
}

void Session::at(std::int64_t step, std::string phase) {
  const std::lock_guard lock(mutex_);
  step_ = step, phase_ = std::move(phase);
}

void Session::took(double lane_seconds) {
  const std::lock_guard lock(mutex_);
  lane_seconds_ = lane_seconds;
}

/// Under the lock.
Heartbeat Session::heartbeat() const {
  Activity::Seen seen = activity().look();
  return {step_, phase_, seen.work, seen.calls, std::move(seen.waits_in), std::move(seen.waits_for), lane_seconds_};
}

Status Session::send(const Message& message) {
  Status sent = client()->send(message);
  if (options_.orphan.count() > 0) return {};
  return sent;
}

Status Session::report(const StepDone& done, int rank) {
  {
    const std::lock_guard lock(mutex_);
    reports_.push_back(done);
    if (reports_.size() > kMostReports) reports_.pop_front();
  }
  return rank == 0 ? send(done) : Status();
}

Status Session::report_again(const Assignment& assignment) {
  std::deque<StepDone> reports;
  {
    const std::lock_guard lock(mutex_);
    if (assignment.source < 0) reports_.clear();  // Those steps are taken anew.
    reports = reports_;
  }
  if (assignment.rank != 0) return {};
  for (const StepDone& done : reports)
    if (done.step > std::min(assignment.recorded, assignment.measured)) PLUMBLINE_TRY(send(done));
  return {};
}

std::string Session::unrecorded(const Assignment& assignment) const {
  const std::lock_guard lock(mutex_);
  Json reports = Json::array();
  for (const StepDone& done : reports_) {
    const bool held_out = kind_of(done) == "heldout";
    if (done.step > (held_out ? assignment.measured : assignment.recorded))
      reports.push_back({done.step, done.metrics});
  }
  return reports.dump();
}

Status Session::take_over(const std::string& reports) {
  const Json parsed = Json::parse(reports, nullptr, /*allow_exceptions=*/false);
  const auto is_report = [](const Json& one) {
    return one.is_array() && one.size() == 2 && one[0].is_number_integer() && one[1].is_object();
  };
  if (!parsed.is_array() || !std::all_of(parsed.begin(), parsed.end(), is_report))
    return run_error("another rank's reports cannot be read", "mesh");
  const std::lock_guard lock(mutex_);
  for (const Json& one : parsed) {
    StepDone done{one[0].get<std::int64_t>(), one[1]};
    const auto later = std::upper_bound(reports_.begin(), reports_.end(), done.step,
                                        [](std::int64_t step, const StepDone& kept) { return step < kept.step; });
    const bool known = std::any_of(reports_.begin(), later, [&](const StepDone& kept) {
      return kept.step == done.step && kind_of(kept) == kind_of(done);
    });
    if (!known) reports_.insert(later, std::move(done));
  }
  return {};
}

template <class Condition>
Status Session::wait_for(std::unique_lock<std::mutex>& lock, const Condition& condition) {
  if (!condition() && !interrupt_.raised()) {
    const Activity::Wait wait(kWaitsForCoordinator);
    changed_.wait(lock, [&] { return condition() || interrupt_.raised(); });
  }
  if (interrupt_.raised()) return run_error("the coordinator has ended this generation", "control plane");
  return {};
}

Result<Lease> Session::lease_beyond(std::int64_t step) {
  std::unique_lock lock(mutex_);
  PLUMBLINE_TRY(wait_for(lock, [&] { return lease_ && (lease_->end_step > step || lease_->last); }));
  return *lease_;
}

std::optional<Committed> Session::newest_commit() const {
  const std::lock_guard lock(mutex_);
  return committed_;
}

Result<std::string> Session::committed(std::int64_t step) {
  std::unique_lock lock(mutex_);
  PLUMBLINE_TRY(wait_for(lock, [&] { return committed_ && committed_->step >= step; }));
  return committed_->weights_sha256;
}

Result<std::string> Session::nccl_id() {
  std::unique_lock lock(mutex_);
  PLUMBLINE_TRY(wait_for(lock, [&] { return nccl_id_.has_value(); }));
  return *nccl_id_;
}

void Session::leave() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  if (beater_.joinable()) beater_.join();
  if (reader_.joinable()) reader_.join();
}

void Session::read() {
  auto look_at = std::chrono::steady_clock::now() + kSilence;
  for (;;) {
    auto message = client()->receive(kReadTimeout);
    const auto now = std::chrono::steady_clock::now();
    if (message.has_value() && message.value()) look_at = now + kSilence;
    if (message.has_value() && now >= look_at) {
      look_at = now + kLookAtFile;
      if (is_replaced()) message = run_error("another coordinator has taken the run over", "control plane");
    }
    std::unique_lock lock(mutex_);
    if (leaving_) return;
    if (message.has_error()) {
      connected_ = false;
      lock.unlock();
      if (!find_another(message.error())) return;
      look_at = std::chrono::steady_clock::now() + kSilence;
      continue;
    }
    if (message.value()) {
      if (const auto* asked = std::get_if<StacksRequest>(&*message.value())) {
        lock.unlock();
        describe_hang(asked->reason);
        continue;
      }
      keep(std::move(*message.value()));
    }
    changed_.notify_all();
  }
}

bool Session::is_replaced() const {
  std::unique_lock lock(mutex_);
  const auto [client, generation] = std::pair(client_, hello_.generation);
  lock.unlock();  // A file system may take its time.
  return client->is_replaced(run_dir_, generation);
}

bool Session::find_another(const Error& lost) {
  const auto deadline = std::chrono::steady_clock::now() + options_.orphan;
  while (std::chrono::steady_clock::now() < deadline) {
    Hello hello;
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, kLookAgain, [&] { return leaving_; })) return false;
      assignment_.reset();  // Not taken up by now: the generation that this hello tells of stays the newest.
      hello = hello_;
    }
    auto found = ControlClient::connect(run_dir_, std::move(hello), kConnectTimeout);
    if (found.has_value()) {
      take_up(std::make_shared<ControlClient>(std::move(found).value()));
      return true;
    }
    if (found.error().code == ErrorCode::kUsage) {  // It is there, and does not want us.
      options_.on_lost(found.error());
      return false;
    }
  }
  options_.on_lost(lost);
  return false;
}

/// The generation is over, whatever it was doing: the new coordinator begins another.
void Session::take_up(std::shared_ptr<ControlClient> client) {
  const std::lock_guard lock(mutex_);
  client_ = std::move(client);
  connected_ = true;
  interrupt_.raise();
  if (ready_) static_cast<void>(client_->send(*ready_));
  changed_.notify_all();
}

/// Under the lock.
void Session::keep(Message message) {
  if (auto* assignment = std::get_if<Assignment>(&message)) {
    assignment_ = std::move(*assignment);
    lease_.reset();
    committed_.reset();
    nccl_id_.reset();
    interrupt_.clear();
  }
  if (std::holds_alternative<Regroup>(message)) interrupt_.raise();
  if (std::holds_alternative<Dismissal>(message)) dismissed_ = true;
  if (const auto* lease = std::get_if<Lease>(&message)) lease_ = *lease;
  if (const auto* committed = std::get_if<Committed>(&message)) {
    committed_ = *committed;
    // Its coordinator had the reports of these steps before, and wrote them down.
    while (!reports_.empty() && reports_.front().step <= committed->step) reports_.pop_front();
  }
  if (const auto* id = std::get_if<NcclId>(&message)) nccl_id_ = id->id_hex;
  if (const auto* refused = std::get_if<Failed>(&message))
    options_.on_lost({static_cast<ErrorCode>(refused->code), refused->message, refused->where, refused->hint});
}

void Session::describe_hang(const std::string& reason) {
  if (!options_.write_stacks) return;
  Heartbeat now;
  {
    const std::lock_guard lock(mutex_);
    now = heartbeat();
  }
  const Activity::Seen seen = activity().look();
  const std::string heading = "taken for hung: " + reason + "\nstage \"" + now.phase + "\" at step " +
                              std::to_string(now.step) +
                              ", collective calls in this generation: " + std::to_string(seen.calls) +
                              (seen.last_call.empty() ? "" : ", the newest \"" + seen.last_call + "\"") +
                              (seen.waits_in.empty() ? ", in none now" : ", waits in \"" + seen.waits_in + "\"");
  const auto file = options_.write_stacks(heading);
  if (file.has_value()) static_cast<void>(client()->send(Artifact{"stacks", now.step, file.value()}));
}

void Session::beat() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    const Heartbeat now = heartbeat();
    const std::shared_ptr<ControlClient> client = client_;
    lock.unlock();
    // A send that fails means a lost connection, which the reader sees and reports.
    static_cast<void>(client->send(now));
    lock.lock();
    changed_.wait_for(lock, options_.heartbeat, [&] { return leaving_; });
  }
}

}  // namespace plumbline
