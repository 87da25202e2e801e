#include "coordinator/serve/coordinator.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <csignal>
#include <utility>

#include "common/core/check.hpp"
#include "common/data/plan.hpp"
#include "coordinator/serve/commit.hpp"
#include "coordinator/serve/listener.hpp"
#include "coordinator/serve/status.hpp"

namespace plumbline {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds kAcceptPause{100};  ///< after a failed accept (no descriptor left, …)
constexpr std::chrono::milliseconds kAway{1000};        ///< a tick later than this: the loop stood still
constexpr std::chrono::milliseconds kClaimHolds{20};    ///< before it is looked at again; a standstill is longer

void say_all(const std::vector<RepeatedLines::Summary>& summaries) {
  for (const auto& [level, line] : summaries) spdlog::log(static_cast<spdlog::level::level_enum>(level), "{}", line);
}
}  // namespace

Coordinator::Coordinator(ServableRun run)
    : run_(std::move(run)),
      signals_(io_),
      admission_(within_descriptors(run_.admission, raise_descriptor_limit())),
      room_(io_),
      started_(run_.clock()) {
  const Dataset& dataset = run_.dataset;
  num_probe_rows_ = static_cast<std::int64_t>(
      probe_rows(dataset.held_out(), dataset.info().norms.size(), run_.config.snapshot.examples, run_.config.seed)
          .size());
}

Coordinator::~Coordinator() {
  if (!superseded_) carry_out(action::EndGroup{});  // All at once: the destructors wait for one after the other.
  group_.process.reset();
  workers_.clear();
  worker_thread_.join();
  answer_thread_.join();
  std::error_code ignored;
  if (published_ && !superseded_) std::filesystem::remove(run_.layout.coordinator(), ignored);
}

Result<RunOutcome> Coordinator::serve() {
  PLUMBLINE_ASSIGN(auto acceptor, open_listener(io_, run_.config.control));
  port_ = acceptor.local_endpoint().port();
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) signals_.add(number);
  struct sigaction hang_up {};
  if (::sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) signals_.add(SIGHUP);  // no nohup
  std::signal(SIGPIPE, SIG_IGN);  // Whoever reads the terminal's lines may leave; the log file has them.
  PLUMBLINE_TRY(publish_address());
  PLUMBLINE_TRY(run_.journal.append("coordinator_started", {{"pid", static_cast<std::int64_t>(getpid())},
                                                            {"port", port_},
                                                            {"workers", run_.facts.workers},
                                                            {"launcher", run_.facts.launcher},
                                                            {"steps", run_.facts.lease.steps},
                                                            {"version", PLUMBLINE_VERSION}}));
  spdlog::info("coordinator of {} listens on {} port {}", run_.layout.root().string(), run_.config.control.bind, port_);
  // A coordinator that was killed may not have come to it.
  if (run_.state.checkpoint) carry_out(action::PruneCheckpoints{run_.state.checkpoint->step, run_.state.generation});
  spawn(accept_all(std::move(acceptor)));
  spawn(tick());
  spawn(take_signals());
  feed(event::Begin{});
  io_.run();
  say_all(lines_.all());
  looked_at_claim_ = {};
  if (superseded()) return std::move(*outcome_);
  remove_partial_checkpoints(run_.layout);
  return std::move(outcome_).value_or(run_error("the event loop ended before the run", run_.layout.root().string()));
}

Status Coordinator::publish_address() {
  published_ = true;
  return write_address(
      run_.layout, {address_for_others(run_.config.control.bind), port_, run_.state.generation, getpid(), host_name()});
}

void Coordinator::spawn(asio::awaitable<void> coroutine) {
  asio::co_spawn(io_, std::move(coroutine), [this](const std::exception_ptr& failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      end(run_error(std::string("the coordinator failed: ") + e.what(), run_.layout.root().string()));
    }
  });
}

// --- peers

asio::awaitable<void> Coordinator::accept_all(asio::ip::tcp::acceptor acceptor) {
  asio::steady_timer pause(io_);
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kAwait);
    if (!error) {
      co_await make_room();
      admit(std::move(socket));
      continue;
    }
    spdlog::warn("a connection could not be accepted: {}", error.message());
    pause.expires_after(kAcceptPause);
    co_await pause.async_wait(kAwait);
  }
}

/// Until a stranger may be let in; who came first and did not use its time goes.
asio::awaitable<void> Coordinator::make_room() {
  for (;;) {
    const Admission::Room room = admission_.room(run_.clock());
    if (room.place == Admission::Place::kFree) co_return;
    if (room.place == Admission::Place::kEvict) {
      Peer* oldest = find(room.oldest);
      PLUMBLINE_CHECK(oldest != nullptr, "a stranger without a connection");
      oldest->make_way("others wait, and it did not prove the run's key");
      continue;
    }
    room_.expires_after(room.until - run_.clock());
    co_await room_.async_wait(kAwait);
  }
}

void Coordinator::admit(asio::ip::tcp::socket socket) {
  if (admission_.is_full(peers_.size())) {
    if (const auto line = admission_.turned_away(std::to_string(peers_.size()) + " are open", run_.clock()))
      spdlog::warn("{}", *line);
    return;  // The socket closes.
  }
  ++newest_peer_;
  auto peer = std::make_shared<Peer>(std::move(socket), newest_peer_, run_.tls, *this, run_.limits);
  peers_[newest_peer_] = peer;
  admission_.came(newest_peer_, run_.clock());
  peer->start();
}

void Coordinator::on_hello(Peer& peer, const Hello& hello) {
  if (admission_.left(peer.id())) room_.cancel();
  if (hello.role == Role::kWorker) return feed(event::WorkerCame{peer.id(), hello});
  Welcome welcome;
  welcome.generation = run_.state.generation;
  peer.welcome(welcome);
}

void Coordinator::on_message(Peer& peer, Generation generation, Message message) {
  if (peer.role() == Role::kClient) return answer_client(peer, message);
  feed(event::WorkerSaid{peer.id(), generation, std::move(message)});
}

void Coordinator::on_closed(Peer& peer, const std::string& reason) {
  const ConnectionId id = peer.id();
  const bool is_worker = peer.proven() && peer.role() == Role::kWorker;
  if (admission_.left(id)) {
    room_.cancel();
    if (const auto line = admission_.turned_away(reason, run_.clock())) spdlog::warn("{}", *line);
  }
  peers_.erase(id);
  if (!is_worker) return;
  feed(event::ConnectionLost{id, reason});
  // Of a process on another host nothing else is seen: it was dismissed, and has left.
  const int number = peer.hello().rank;
  if (run_.facts.elastic && run_.state.all_finished && out_of_reach_.erase(number) > 0)
    feed(event::WorkerExited{number, 0, "on another host has left"});
}

void Coordinator::answer_client(Peer& peer, const Message& message) {
  if (const auto* request = std::get_if<StatusRequest>(&message)) return answer_status(peer, request->all);
  if (std::holds_alternative<StopRequest>(message)) {
    feed(event::StopRequested{"plumbline stop", false});
    return peer.send(StopReply{stop_reply()});
  }
  peer.close("a client does not say " + message_name(message));
}

/// The list of thousands is copied here, and written where it holds nobody up.
void Coordinator::answer_status(Peer& peer, bool all) {
  const ServedRun served{run_.layout, run_.config, run_.state, run_.progress, started_, now()};
  Json status = live_status(served);
  if (!all || status.at("num_workers") == status.at("workers").size()) return peer.send(StatusReply{std::move(status)});
  const ConnectionId id = peer.id();
  if (!answered_off_loop_.insert(id).second) return peer.close("it asks again before it is answered");
  const auto reply = std::make_shared<Json>(std::move(status));
  const auto frame = std::make_shared<Result<std::string>>(run_error("the status could not be written"));
  plumbline::off_loop(
      io_, answer_thread_,
      [reply, frame, workers = workers_of(served), generation = peer.generation()]() -> Status {
        (*reply)["workers"] = workers_json(workers);
        *frame = encode_frame(to_frame(StatusReply{std::move(*reply)}, generation));
        return {};
      },
      [this, id, frame](const Status&) {
        answered_off_loop_.erase(id);
        if (Peer* waiting = find(id)) waiting->send_frame(std::move(*frame));
      });
}

std::string Coordinator::stop_reply() const {
  const RunState& state = run_.state;
  const std::string then = "; resume with: " + run_.facts.resume_command;
  if (state.phase == GroupPhase::kTraining && state.leases.stops())
    return "the run stops at step " + std::to_string(state.leases.end()) + ", after a checkpoint" + then;
  if (state.all_finished) return "the run has trained its last step and is being evaluated: it finishes instead";
  if (state.phase == GroupPhase::kTraining)
    return "the run stops after its next checkpoint, at step " + std::to_string(state.leases.end()) + " at the latest" +
           then;
  return "the run stops now, at step " + std::to_string(state.checkpoint ? state.checkpoint->step.value() : 0) + then;
}

// --- time and signals

asio::awaitable<void> Coordinator::tick() {
  asio::steady_timer timer(io_);
  for (;;) {
    timer.expires_after(run_.tick);
    co_await timer.async_wait(kAwait);
    const auto late = std::chrono::floor<std::chrono::milliseconds>(std::chrono::steady_clock::now() - timer.expiry());
    if (late > kAway) {
      away_ += late;
      spdlog::warn(
          "the coordinator stood still for {:.1f} s (stopped, or kept by its machine or disk): not counted as "
          "anybody's silence",
          static_cast<double>(late.count()) / 1000);
    }
    say_all(lines_.due(run_.clock()));
    if (!superseded()) feed(event::Tick{});
  }
}

asio::awaitable<void> Coordinator::take_signals() {
  // A batch system may send its warning first and SIGTERM behind it: only who asks twice does not want to wait.
  for (bool asked = false;;) {
    const auto [error, number] = co_await signals_.async_wait(kAwait);
    if (error) co_return;
    const std::string name = number == SIGINT    ? "SIGINT"
                             : number == SIGTERM ? "SIGTERM"
                             : number == SIGHUP  ? "SIGHUP"
                                                 : "SIGUSR1";
    const bool asks = number == SIGINT || number == SIGTERM;
    feed(event::StopRequested{name, asks && asked});
    asked = asked || asks;
  }
}

// --- decisions

void Coordinator::feed(Event event) {
  events_.push_back(std::move(event));
  if (deciding_) return;
  deciding_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    decide_on(next);
  }
  deciding_ = false;
}

void Coordinator::decide_on(const Event& event) {
  if (superseded_) return;
  Decision decision = decide(run_.facts, std::move(run_.state), event, now());
  run_.state = std::move(decision.state);
  if (!decision.actions.empty() && superseded()) return;
  for (const Action& action : decision.actions) {
    say(action.tone, action.reason);
    std::visit([&](const auto& what) { carry_out(what); }, action.what);
    if (!record_error_) continue;
    // What follows would tell someone of what is not recorded.
    looked_at_claim_ = {};
    if (superseded()) return;
    events_.emplace_front(event::RecordFailed{*std::exchange(record_error_, std::nullopt)});
    return;
  }
}

/// It may have been stopped, or cut off, while another took the run over. Its elastic workers are the other's now, or
/// look for it by themselves; neither they nor a file of the run are touched any more. A static group cannot be taken
/// over, and ends.
bool Coordinator::superseded() {
  const auto now = std::chrono::steady_clock::now();
  if (superseded_ || now - looked_at_claim_ < kClaimHolds) return superseded_;
  looked_at_claim_ = now;
  const auto who = run_.journal.claim().superseded_by();
  if (!who) return false;
  superseded_ = true;
  for (auto& [number, launched] : workers_) launched.process->let_go();
  outcome_.reset();
  const Error error = superseded_error(run_.layout, *who);
  spdlog::error("{}: this coordinator ends, and leaves the workers alone", error.message);
  end(error);
  return true;
}

void Coordinator::say(Tone tone, const std::string& line) {
  if (tone == Tone::kQuiet) return spdlog::debug("{}", line);
  const auto level = tone == Tone::kWarning ? spdlog::level::warn : spdlog::level::info;
  const SteadyTime now = run_.clock();
  say_all(lines_.due(now));
  if (lines_.is_written(level, line, now)) spdlog::log(level, "{}", line);
}

void Coordinator::in_turn(ConnectionId id, std::function<void(Peer&)> task) {
  turns_.add([this, id, task = std::move(task)] {
    if (Peer* peer = find(id)) task(*peer);
  });
}

Peer* Coordinator::find(ConnectionId id) {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : found->second.get();
}

}  // namespace plumbline
