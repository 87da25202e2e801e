#include "common/wire/client.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <system_error>
#include <utility>

#include "common/record/run_layout.hpp"
#include "common/wire/connection.hpp"

namespace plumbline {

namespace {

/// A coordinator that reads nothing for so long is lost. It is local or on the cluster's network, and never busy.
constexpr std::chrono::seconds kSendTimeout{30};

Deadline after(std::chrono::milliseconds timeout) { return std::chrono::steady_clock::now() + timeout; }

std::string resume_hint(const std::filesystem::path& run_dir) {
  return "Start the run again with: plumbline resume " + run_dir.string();
}

Error no_coordinator(const std::string& message, const std::filesystem::path& run_dir) {
  return environment_error(message, run_dir.string(), resume_hint(run_dir));
}

Error secret_refused(const std::filesystem::path& run_dir) {
  return usage_error("the coordinator did not accept this run's secret", RunLayout(run_dir).secret().string(),
                     "Use the run directory that the coordinator serves, with its own secret file.");
}

/// Where the coordinator is and what proves that we belong to the run.
struct Credentials {
  CoordinatorAddress address;
  std::string secret;
};

Result<Credentials> read_credentials(const std::filesystem::path& run_dir) {
  const RunLayout layout(run_dir);
  std::error_code ec;
  if (!std::filesystem::is_directory(run_dir, ec))
    return data_error("there is no such run directory", run_dir.string());
  if (!std::filesystem::exists(layout.coordinator(), ec))
    return no_coordinator("no coordinator serves this run", run_dir);
  Credentials credentials;
  PLUMBLINE_ASSIGN(credentials.address, read_address(layout));
  PLUMBLINE_ASSIGN(credentials.secret, read_secret(layout));
  return credentials;
}

/// The coordinator's next message while shaking hands; its refusal becomes our error.
Result<std::pair<Frame, Message>> next_message(Connection& connection, Deadline deadline, const Error& on_timeout) {
  PLUMBLINE_ASSIGN(std::optional<Frame> frame, connection.receive(deadline));
  if (!frame) return on_timeout;
  PLUMBLINE_ASSIGN(Message message, from_frame(*frame));
  if (const auto* failed = std::get_if<Failed>(&message))
    return Error{static_cast<ErrorCode>(failed->code), failed->message, failed->where, failed->hint};
  return std::pair(std::move(*frame), std::move(message));
}

Error unexpected(const Message& message, const char* expected) {
  return run_error("the coordinator said " + message_name(message) + " where " + expected + " was expected",
                   "control plane", "Both ends must be the same version of Plumbline.");
}

/// A connection on which both ends have proved the key.
Result<Connection> open_connection(const std::filesystem::path& run_dir, const Credentials& credentials,
                                   Deadline deadline) {
  const CoordinatorAddress& address = credentials.address;
  PLUMBLINE_ASSIGN(const TlsContext context, TlsContext::make(credentials.secret));
  auto socket = connect_to_host(address.host, address.port, deadline);
  if (socket.has_error()) return no_coordinator("no coordinator answers at " + to_string(socket.error()), run_dir);
  // A host that is cut off, or lost its power, says nothing: what it does not acknowledge for so long ends the
  // connection.
  const unsigned int unacknowledged_ms = std::chrono::milliseconds(kSendTimeout).count();
  ::setsockopt(socket->get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
  // What a short interruption swallows is to be heard soon after it, not after as long again.
  const int steadily = 1;
  ::setsockopt(socket->get(), IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &steadily, sizeof steadily);
  SecureStream stream(std::move(socket).value(), context, TlsSide::kClient);
  const Status shaken = stream.shake_hands(deadline);
  if (shaken.has_value()) return Connection(std::move(stream));
  const std::string whoever = "whoever answers at " + address.host + ":" + std::to_string(address.port);
  switch (stream.end()) {
    case TlsEnd::kRefused:
      return secret_refused(run_dir);
    case TlsEnd::kImpostor:
      return usage_error(whoever + " does not know the run's secret, so it is not this run's coordinator",
                         run_dir.string(), resume_hint(run_dir));
    default:
      return no_coordinator(whoever + " is no coordinator: " + shaken.error().message, run_dir);
  }
}

/// Hello, Welcome.
Result<Welcome> introduce(Connection& connection, const Hello& hello, const std::filesystem::path& run_dir,
                          Deadline deadline) {
  PLUMBLINE_TRY(connection.send(to_frame(hello, Generation()), deadline));
  auto answer = next_message(
      connection, deadline,
      environment_error("the coordinator did not let us in in time", run_dir.string(), "Its log says what it does."));
  if (answer.has_error() && connection.hung_up())
    return no_coordinator("the coordinator hung up before it let us in", run_dir);
  if (answer.has_error()) return answer.error();
  const auto& [frame, message] = answer.value();
  const auto* welcome = std::get_if<Welcome>(&message);
  if (welcome == nullptr) return unexpected(message, "Welcome");
  if (hello.role == Role::kWorker && frame.generation != welcome->generation)
    return run_error("the coordinator's welcome is of two generations", "control plane");
  return *welcome;
}

}  // namespace

struct ControlClient::State {
  Connection connection;
  CoordinatorAddress coordinator;
  Role role;
  Welcome welcome;
  Generation heard;                   ///< of what is received; only receive() uses it
  std::atomic<std::uint64_t> spoken;  ///< generation of what is sent
  std::mutex sending = {};
  bool broken = false;  ///< by a send that failed half-way; guarded by `sending`
};

ControlClient::ControlClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
ControlClient::ControlClient(ControlClient&&) noexcept = default;
ControlClient& ControlClient::operator=(ControlClient&&) noexcept = default;
ControlClient::~ControlClient() = default;

Result<ControlClient> ControlClient::connect(const std::filesystem::path& run_dir, Hello hello,
                                             std::chrono::milliseconds timeout) {
  const Deadline deadline = after(timeout);
  PLUMBLINE_ASSIGN(const Credentials credentials, read_credentials(run_dir));
  PLUMBLINE_ASSIGN(Connection connection, open_connection(run_dir, credentials, deadline));
  constexpr std::string_view kEverywhere = "0.0.0.0:";
  if (hello.mesh.starts_with(kEverywhere))
    hello.mesh = connection.stream().local_address() + hello.mesh.substr(kEverywhere.size() - 1);
  PLUMBLINE_ASSIGN(Welcome welcome, introduce(connection, hello, run_dir, deadline));
  const Generation generation = welcome.generation;
  return ControlClient(std::unique_ptr<State>(new State{std::move(connection), credentials.address, hello.role,
                                                        std::move(welcome), generation, generation.value()}));
}

const Welcome& ControlClient::welcome() const { return state_->welcome; }

bool ControlClient::is_replaced(const std::filesystem::path& run_dir, Generation generation) const {
  const auto now = read_address(RunLayout(run_dir));
  if (now.has_error() || now->generation < generation) return false;
  const CoordinatorAddress& mine = state_->coordinator;
  return now->host != mine.host || now->port != mine.port || now->pid != mine.pid || now->hostname != mine.hostname;
}

void ControlClient::speak_in(Generation generation) { state_->spoken = generation.value(); }

Status ControlClient::send(const Message& message) {
  const std::lock_guard lock(state_->sending);
  if (state_->broken) return run_error("the connection was lost", "control plane");
  Status sent = state_->connection.send(to_frame(message, Generation(state_->spoken)), after(kSendTimeout));
  state_->broken = sent.has_error();
  return sent;
}

Result<std::optional<Message>> ControlClient::receive(std::chrono::milliseconds timeout) {
  PLUMBLINE_ASSIGN(const std::optional<Frame> frame, state_->connection.receive(after(timeout)));
  if (!frame) return std::optional<Message>();
  PLUMBLINE_ASSIGN(Message message, from_frame(*frame));
  // A command-line client asks about the run, whatever its generation; a worker is in one at a time.
  if (state_->role == Role::kWorker) {
    const auto* assignment = std::get_if<Assignment>(&message);
    if (assignment != nullptr && assignment->generation >= state_->heard) state_->heard = assignment->generation;
    if (frame->generation != state_->heard)
      return run_error("a message of generation " + std::to_string(frame->generation.value()) +
                           " came to a worker of generation " + std::to_string(state_->heard.value()),
                       "control plane");
  }
  return std::optional<Message>(std::move(message));
}

}  // namespace plumbline
