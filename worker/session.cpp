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
  heartbeat_.step = client_.welcome().start_step;
  reader_ = std::thread([this] { read(); });
  beater_ = std::thread([this] { beat(); });
}

Session::~Session() { leave(); }

void Session::at(std::int64_t step, std::string phase) {
  const std::lock_guard lock(mutex_);
  heartbeat_ = {step, std::move(phase)};
}

Status Session::send(const Message& message) { return client_.send(message); }

Lease Session::lease_beyond(std::int64_t step) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return lease_ && (lease_->end_step > step || lease_->last); });
  return *lease_;
}

std::string Session::committed(std::int64_t step) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return committed_ && committed_->step >= step; });
  return committed_->weights_sha256;
}

std::string Session::nccl_id() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return nccl_id_.has_value(); });
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
    if (!message.value()) continue;
    if (auto* lease = std::get_if<Lease>(&*message.value())) lease_ = *lease;
    if (auto* committed = std::get_if<Committed>(&*message.value())) committed_ = *committed;
    if (auto* id = std::get_if<NcclId>(&*message.value())) nccl_id_ = id->id_hex;
    changed_.notify_all();
  }
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
