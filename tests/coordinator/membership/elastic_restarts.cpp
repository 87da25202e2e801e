// Connections of an ElasticCluster, what a worker's session does when one ends (worker/session.cpp), and coordinators
// that are killed: the next one begins as serve/servable_run.cpp opens a run.
#include "common/record/metrics.hpp"
#include "tests/coordinator/membership/elastic_cluster.hpp"

namespace plumbline {

namespace {

/// Turns that a worker looks for another coordinator. Every turn is a hundredth of a second of the coordinator's.
constexpr int kOrphanTurns = 2500;

}  // namespace

// --- the coordinator

/// What it had appended stands, what workers had said to it is lost, what it had sent arrives as far as it had gone.
/// Checkpoints and snapshots in the making are cleared away by the next one, as they are in no journal.
void ElasticCluster::kill_coordinator() {
  up_ = false;
  ++restarts_;
  events_.clear();
  for (Link& link : links_) {
    if (!link.open) continue;
    link.open = false, link.broken = true;
    link.said.clear();
    link.unread.resize(static_cast<std::size_t>(roll(link.unread.size() + 1)));
  }
  for (Worker& worker : workers_) worker.watched = false;
  out_of_reach_.clear();
  storing_.reset();
  aggregating_.clear();
  verifying_ = say_started_ = ending_ = stop_asked_ = fresh_ = false;
  shared_.reset();
}

void ElasticCluster::begin_again() {
  up_ = true;
  waited_ = {};
  journal_.push_back({std::ssize(journal_) + 1, "", "coordinator_started", Json::object()});
  const RunRecord record = replay(journal_);
  ASSERT_EQ(record.commits.size(), commits_.size()) << "a commit is undone";
  for (std::size_t i = 0; i < commits_.size(); ++i) EXPECT_EQ(record.commits[i].step.value(), commits_[i]);
  generation_ = record.generation.value();
  group_ = record.group;
  RunState state = recorded_state(record);
  int living = 0;  // Whoever launched them, and in whichever group: that is not seen from outside.
  for (const Worker& worker : workers_) living += worker.alive ? 1 : 0;
  drive_.facts().orphans = 0;
  // Of other hosts it is not known who lives. A changed configuration takes nobody over.
  if (!record.group.empty() && static_cast<int>(roll(100)) >= dangers_.reconfigured)
    drive_.facts().orphans = roll(6) == 0 ? std::max(living, facts().workers) : living;
  if (dangers_.resized > 0 && static_cast<int>(roll(100)) < dangers_.resized) {
    drive_.facts().workers = static_cast<int>(1 + roll(5));
    drive_.facts().min_workers = std::min(facts().min_workers, facts().workers);
  }
  drive_.begin_again(std::move(state));
  feed(event::Begin{});
}

RunState ElasticCluster::recorded_state(const RunRecord& record) {
  RunState state;
  state.generation = record.generation;
  state.checkpoint = record.checkpoint;
  state.fingerprint = record.fingerprint;
  state.rates = record.rates;
  state.group = record.group;
  state.pictured = record.pictured;
  const std::vector<std::int64_t> trained = steps_of_metrics("train"), held_out = steps_of_metrics("heldout");
  state.recorded = trained.empty() ? 0 : trained.back();
  state.measured = held_out.empty() ? -1 : held_out.back();
  if (commits_.empty()) return state;
  std::vector<SetAsideCheckpoint> set_aside;
  state.checkpoint = newest_whole(set_aside);
  for (const SetAsideCheckpoint& aside : set_aside)
    carry_out(action::AppendJournal{"checkpoint_set_aside", journal_data(aside, state.checkpoint->step)});
  verified_ = true;
  return state;
}

/// As whoever reads the file takes it: lines that later ones void are none.
std::vector<std::int64_t> ElasticCluster::steps_of_metrics(const std::string& kind) const {
  std::vector<std::int64_t> steps;
  const auto lines = parse_metrics(metrics_, "metrics.jsonl").value();
  for (const Json& line : lines)
    if (line.at("kind") == kind) steps.push_back(line.at("step").get<std::int64_t>());
  return steps;
}

/// A process that is gone, or on another host, is not watched.
void ElasticCluster::carry_out(const action::AdoptWorker& adopt) {
  const auto worker =
      std::find_if(workers_.begin(), workers_.end(), [&](const Worker& one) { return one.pid == adopt.pid; });
  ASSERT_NE(worker, workers_.end());
  EXPECT_EQ(worker->number, adopt.number);
  EXPECT_EQ(running(adopt.number), nullptr) << "two processes of one number are watched";
  if (worker->far) {
    out_of_reach_.insert(adopt.number);
  } else if (worker->alive) {
    worker->watched = true;
  } else {
    feed(event::WorkerExited{adopt.number, 1, "cannot be watched"});
  }
}

// --- connections

/// Nobody dies of it. Of what was on its way in both directions some arrives; the coordinator may not learn of it.
void ElasticCluster::cut_some_connection() {
  Worker& worker = workers_[static_cast<std::size_t>(roll(workers_.size()))];
  if (!worker.alive || worker.link == 0 || worker.at == At::kWelcome) return;
  Link& link = link_of(worker);
  if (link.broken || link.dropped) return;
  link.broken = true;
  link.hidden = roll(3) == 0;
  link.said.resize(static_cast<std::size_t>(roll(link.said.size() + 1)));
  link.unread.resize(static_cast<std::size_t>(roll(link.unread.size() + 1)));
}

/// For a while, between two processes; the coordinator reaches both.
void ElasticCluster::sever_some_way() {
  const auto some = [&] { return static_cast<std::int64_t>(roll(workers_.size())); };
  const std::int64_t one = some(), other = some();
  const auto lives = [&](std::int64_t pid) { return workers_[static_cast<std::size_t>(pid)].alive; };
  if (one == other || !lives(one) || !lives(other)) return;
  ++severed_;
  deaf_.emplace(one + 1, other + 1);
  if (roll(2) == 0) deaf_.emplace(other + 1, one + 1);
}

void ElasticCluster::say_hello(Worker& worker) {
  Link link;
  link.id = links_.size() + 1;
  link.worker = static_cast<std::size_t>(worker.pid - 1);
  link.again = worker.place.generation > Generation();
  links_.push_back(std::move(link));
  worker.link = links_.back().id;
  Hello hello;
  hello.rank = worker.number, hello.world = 0, hello.pid = worker.pid;
  hello.host = worker.far ? "there" : "here";
  hello.group = worker.group, hello.fingerprint = "cpu";
  hello.mesh = "here:" + std::to_string(worker.pid);
  hello.generation = worker.place.generation;
  feed(event::WorkerCame{ConnectionId(worker.link), hello});
}

/// The session's reader has a turn; false: nothing is there for it to do.
bool ElasticCluster::tend(Worker& worker) {
  if (worker.link != 0) {
    Link& link = link_of(worker);
    if (!link.unread.empty()) {
      if (roll(2) == 0) return false;
      read(worker);
      return true;
    }
    if (!link.broken && !link.dropped) return false;
    if (roll(2) == 0) notice_end(worker);
    return true;
  }
  if (!worker.looking || roll(3) != 0) return false;
  look_for_another(worker);
  return true;
}

void ElasticCluster::notice_end(Worker& worker) {
  worker.link = 0;
  if (worker.at == At::kWelcome) return leave_world(worker, 6);  // It has never been let in.
  if (worker.looking) return;                                    // Not by the one whom it had found, either.
  worker.looking = true;
  worker.looking_since = turns_;
}

void ElasticCluster::look_for_another(Worker& worker) {
  if (turns_ - worker.looking_since > kOrphanTurns) return leave_world(worker, 4);
  worker.next.reset();  // Its hello tells of the generation that it is in.
  if (up_ && !ended_) say_hello(worker);
}

/// What the thread that trains says from now on goes to the new coordinator, before it notices that its generation is
/// over.
void ElasticCluster::take_up(Worker& worker, const Welcome& welcome) {
  ++taken_over_;
  worker.looking = false;
  worker.spoken = welcome.generation.value();
  worker.interrupted = true;
  if (worker.at == At::kReady) say(worker, worker.holds ? Ready{worker.step, "aa"} : Ready{});
}

/// A coordinator that is there and does not want it ends it; one that does not begin now is looked for again.
void ElasticCluster::refused(Worker& worker, const Failed& why) {
  if (worker.at == At::kWelcome) return leave_world(worker, why.code);
  if (!worker.looking || why.code == static_cast<int>(ErrorCode::kUsage)) return leave_world(worker, 4);
  worker.link = 0;
}

}  // namespace plumbline
