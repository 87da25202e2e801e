#include "worker/session.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace plumbline {

namespace {
/// How long the reader waits before it looks whether the worker is leaving.
constexpr std::chrono::milliseconds kReadTimeout{100};
/// Between two looks for another coordinator, and for one to answer.
constexpr std::chrono::milliseconds kLookAgain{50}, kConnectTimeout{10'000};
/// Of steps without a checkpoint between them; older reports are given up.
constexpr std::size_t kMostReports = 20'000;
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
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return assignment_ || dismissed_; });
  ready_.reset();
  if (!assignment_) return std::nullopt;
  hello_.generation = assignment_->generation;
  client_->speak_in(assignment_->generation);
  heartbeat_ = {assignment_->start_step, "starting"};
  return std::exchange(assignment_, std::nullopt);
}

std::optional<Assignment> Session::ready(const Ready& holding) {
  {
    const std::lock_guard lock(mutex_);
    ready_ = holding;
  }
  static_cast<void>(send(holding));  // Where it gets lost, the next coordinator is told.
  return next_assignment();
}

bool Session::dismissed() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return dismissed_ || interrupt_.raised(); });
  return dismissed_;
}

void Session::at(std::int64_t step, std::string phase) {
  const std::lock_guard lock(mutex_);
  heartbeat_ = {step, std::move(phase)};
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

template <class Condition>
Status Session::wait_for(std::unique_lock<std::mutex>& lock, const Condition& condition) {
  changed_.wait(lock, [&] { return condition() || interrupt_.raised(); });
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
  for (;;) {
    auto message = client()->receive(kReadTimeout);
    std::unique_lock lock(mutex_);
    if (leaving_) return;
    if (message.has_error()) {
      connected_ = false;
      lock.unlock();
      if (!find_another(message.error())) return;
      continue;
    }
    if (message.value()) keep(std::move(*message.value()));
    changed_.notify_all();
  }
}

bool Session::find_another(const Error& lost) {
  const auto deadline = std::chrono::steady_clock::now() + options_.orphan;
  while (std::chrono::steady_clock::now() < deadline) {
    Hello hello;
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, kLookAgain, [&] { return leaving_; })) return false;
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
  assignment_.reset();
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

void Session::beat() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    const Heartbeat heartbeat = heartbeat_;
    const std::shared_ptr<ControlClient> client = client_;
    lock.unlock();
    // A send that fails means a lost connection, which the reader sees and reports.
    static_cast<void>(client->send(heartbeat));
    lock.lock();
    changed_.wait_for(lock, options_.heartbeat, [&] { return leaving_; });
  }
}

}  // namespace plumbline
