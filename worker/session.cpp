#include "worker/session.hpp"

#include <utility>
#include <variant>

namespace plumbline {

namespace {
/// How long the reader waits before it looks whether the worker is leaving.
constexpr std::chrono::milliseconds kReadTimeout{100};
}  // namespace

Result<std::unique_ptr<Session>> Session::join(const std::filesystem::path& run_dir, Hello hello,
                                               SessionOptions options) {
  PLUMBLINE_ASSIGN(ControlClient client, ControlClient::connect(run_dir, std::move(hello), options.timeout));
  return std::unique_ptr<Session>(new Session(std::move(client), std::move(options)));
}

Session::Session(ControlClient client, SessionOptions options)
    : client_(std::move(client)), options_(std::move(options)) {
  reader_ = std::thread([this] { read(); });
  beater_ = std::thread([this] { beat(); });
}

Session::~Session() { leave(); }

std::optional<Assignment> Session::next_assignment() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return assignment_ || dismissed_; });
  if (!assignment_) return std::nullopt;
  client_.speak_in(assignment_->generation);
  heartbeat_ = {assignment_->start_step, "starting"};
  return std::exchange(assignment_, std::nullopt);
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

Status Session::send(const Message& message) { return client_.send(message); }

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
    auto message = client_.receive(kReadTimeout);
    const std::lock_guard lock(mutex_);
    if (leaving_) return;
    if (message.has_error()) {
      options_.on_lost(message.error());
      return;
    }
    if (message.value()) keep(std::move(*message.value()));
    changed_.notify_all();
  }
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
  if (const auto* committed = std::get_if<Committed>(&message)) committed_ = *committed;
  if (const auto* id = std::get_if<NcclId>(&message)) nccl_id_ = id->id_hex;
  if (const auto* refused = std::get_if<Failed>(&message))
    options_.on_lost({static_cast<ErrorCode>(refused->code), refused->message, refused->where, refused->hint});
}

void Session::beat() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    const Heartbeat heartbeat = heartbeat_;
    lock.unlock();
    // A send that fails means a lost connection, which the reader sees and reports.
    const Status sent = client_.send(heartbeat);
    lock.lock();
    if (sent.has_error()) return;
    changed_.wait_for(lock, options_.heartbeat, [&] { return leaving_; });
  }
}

}  // namespace plumbline
