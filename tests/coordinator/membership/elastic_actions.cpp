// What the coordinator wants done, carried out in an ElasticCluster, and what must hold at each of its actions.
#include "common/data/plan.hpp"
#include "tests/coordinator/membership/elastic_cluster.hpp"

namespace plumbline {

void ElasticCluster::carry_out(const action::StartGroup& start) {
  for (const Worker& worker : workers_) EXPECT_FALSE(worker.watched) << "an elastic group is launched once";
  EXPECT_EQ(start.generation.value(), generation_ + 1);
  generation_ = start.generation.value();
  fresh_ = true;
  group_ = "g" + std::to_string(generation_) + "." + std::to_string(restarts_);
  for (int number = 0; number < start.workers; ++number) launch(number);
  say_started_ = true;
}

void ElasticCluster::carry_out(const action::StartWorker& start) {
  EXPECT_FALSE(ending_) << "launched while the group ends";
  EXPECT_EQ(start.group, group_);
  launch(start.number);
}

/// Has its connection been taken for a worker's of the group?
bool ElasticCluster::takes_part(const Worker& worker) const {
  return std::any_of(links_.begin(), links_.end(), [&](const Link& link) {
    return link.open && link.welcomed && !link.dropped && !link.broken && &workers_[link.worker] == &worker;
  });
}

void ElasticCluster::carry_out(const action::KillWorker& kill) {
  if (out_of_reach_.erase(kill.number) > 0)
    return feed(event::WorkerExited{kill.number, 1, "is on another host, out of reach"});
  Worker* worker = running(kill.number);
  if (worker == nullptr) return;
  EXPECT_TRUE(!takes_part(*worker) || drive_.state().all_finished || !worker->alive)
      << "a worker that takes part is killed";
  leave_world(*worker, 137);
}

void ElasticCluster::carry_out(const action::EndGroup& end) {
  ending_ = true;
  for (Worker& worker : workers_)
    if (worker.watched && (end.by_force || !worker.suspended)) leave_world(worker, end.by_force ? 137 : 143);
  for (const int number : std::exchange(out_of_reach_, {}))
    feed(event::WorkerExited{number, 1, "is on another host, out of reach"});
}

void ElasticCluster::carry_out(const action::Welcome& welcome) {
  Link* link = find(welcome.connection);
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(welcome.generation.value(), generation_);
  link->welcomed = true;
  send(*link, Welcome{welcome.generation, welcome.under_way});
}

void ElasticCluster::send(Link& link, const Message& message) {
  if (!link.broken) link.unread.push_back(message);
}

/// As the shell sends it.
Assignment ElasticCluster::whole(const action::Assign& assign) {
  Assignment message = assign.assignment;
  EXPECT_TRUE(message.mesh.empty());
  message.mesh = *assign.mesh;
  return message;
}

/// The first rank's tells that a generation begins; the others' must be the same but for the rank.
void ElasticCluster::carry_out(const action::Assign& assign) {
  const Assignment given = whole(assign);
  if (given.rank == 0) begin_generation(assign);
  ASSERT_TRUE(shared_);
  EXPECT_EQ(given.generation, shared_->generation);
  EXPECT_EQ(given.world, shared_->world);
  EXPECT_EQ(given.start_step, shared_->start_step);
  EXPECT_EQ(given.source, shared_->source);
  EXPECT_EQ(given.make_up, shared_->make_up);
  EXPECT_EQ(given.mesh, shared_->mesh);
  EXPECT_EQ(assign.resume_from.has_value(), given.source < 0 && !commits_.empty());
  Link* link = find(assign.connection);
  ASSERT_NE(link, nullptr) << "assigned to a stranger";
  EXPECT_FALSE(link->dropped);
  Worker& worker = workers_[link->worker];
  EXPECT_EQ(given.mesh.at(static_cast<std::size_t>(given.rank)), "here:" + std::to_string(worker.pid));
  Mesh& mesh = meshes_[generation_];
  ASSERT_EQ(std::ssize(mesh.ranks), given.rank) << "one assignment a rank, in order";
  mesh.ranks.push_back(link->worker);
  mesh.world = given.world;
  mesh.broken = mesh.broken || !worker.alive;
  if (given.source >= 0 && !worker.holds) ++joins_;
  send(*link, given);
}

void ElasticCluster::begin_generation(const action::Assign& first) {
  const Assignment given = whole(first);
  const std::int64_t committed = commits_.empty() ? 0 : commits_.back();
  EXPECT_EQ(given.generation.value(), generation_) << "not the one that is in the journal";
  EXPECT_FALSE(meshes_.contains(generation_)) << "one generation is begun twice";
  EXPECT_FALSE(storing_ || !aggregating_.empty()) << "a generation begins while the files of another are worked on";
  EXPECT_FALSE(verifying_) << "begins at a checkpoint that may be damaged";
  EXPECT_EQ(given.world, std::ssize(given.mesh));
  EXPECT_LE(given.world, facts().workers);
  // Who comes back is not waited for, unless it is in time to be taken over.
  const bool taking_over = waited_ <= facts().adopt_timeout && !shared_;
  for (const Worker& worker : workers_) {
    const bool late = !taking_over && drive_.state().newcomers.contains(worker.number);
    if (!takes_part(worker) || (late && links_[worker.link - 1].again)) continue;
    if (worker.holds) {
      EXPECT_LE(worker.step, given.start_step) << "a step is undone that somebody holds";
    }
    EXPECT_TRUE(worker.at == At::kReady || worker.place.generation.value() == 0 || !worker.alive)
        << "worker " << worker.number << " is still in the generation before";
  }
  if (given.source >= 0) {
    const Link* link = find(first.connection);
    ASSERT_NE(link, nullptr);
    const Worker* source = &workers_[link->worker];
    EXPECT_EQ(given.source, 0);
    EXPECT_TRUE(source->holds || !source->alive);
    EXPECT_EQ(source->step, given.start_step);
    EXPECT_GE(given.world, stop_asked_ ? 1 : facts().min_workers);
  } else {
    EXPECT_EQ(given.start_step, committed) << "from the files means the newest commit that stands";
    EXPECT_TRUE(verified_ || commits_.empty()) << "begins at a checkpoint that nobody has looked at since";
    EXPECT_GE(given.world, facts().min_workers);
    from_files_ += meshes_.empty() ? 0 : 1;
  }
  void_held_out_.insert(held_out_lines_.upper_bound(given.start_step), held_out_lines_.end());
  if (given.source < 0 || !void_held_out_.empty())
    void_trained_.insert(trained_lines_.upper_bound(given.start_step), trained_lines_.end());
  verified_ = false;
  EXPECT_EQ(given.checkpointed, commits_.empty() ? -1 : committed);
  check_make_up(given);
  generation_start_ = given.start_step;
  shared_ = given;
}

/// A generation that begins behind a checkpoint which was due makes up for it before the next one is due: at its first
/// step, unless others did so in vain.
void ElasticCluster::check_make_up(const Assignment& given) {
  const std::int64_t behind = given.start_step % save_every_, due = given.start_step - behind;
  const bool owed = behind > 0 && due > (commits_.empty() ? 0 : commits_.back());
  if (!owed) {
    EXPECT_EQ(given.make_up, -1) << "nothing that was due is missing";
  } else if (given.make_up >= 0) {
    EXPECT_GT(given.make_up, given.start_step);
    EXPECT_LT(given.make_up, due + save_every_);
  } else {
    EXPECT_TRUE(behind + 1 == save_every_ || drive_.state().made_up_in_vain > 0) << "a checkpoint is not made up for";
  }
}

void ElasticCluster::carry_out(const action::Send& sent) {
  Link* link = find(sent.connection);
  ASSERT_NE(link, nullptr) << "sent to a stranger";
  EXPECT_FALSE(link->dropped) << "sent where the connection is ended";
  if (const auto* committed = std::get_if<Committed>(&sent.message)) {
    EXPECT_EQ(committed->step, commits_.back()) << "journaled first";
  }
  if (std::holds_alternative<Dismissal>(sent.message) && !drive_.state().all_finished) {
    const auto is_it = [&](const auto& m) { return m.second.connection == sent.connection; };
    const auto& members = drive_.state().members;
    EXPECT_TRUE(std::none_of(members.begin(), members.end(), is_it)) << "who trains is dismissed";
    ++dismissed_;
  }
  if (const auto* lease = std::get_if<Lease>(&sent.message)) check_lease(workers_[link->worker], *lease);
  send(*link, sent.message);
}

void ElasticCluster::check_lease(const Worker& worker, const Lease& lease) {
  const Mesh& mesh = meshes_[generation_];
  const auto rank =
      std::find_if(mesh.ranks.begin(), mesh.ranks.end(), [&](std::size_t one) { return &workers_[one] == &worker; });
  ASSERT_NE(rank, mesh.ranks.end()) << "a lease for one who takes no part";
  const LaneRange lanes =
      lanes_of(static_cast<int>(rank - mesh.ranks.begin()), static_cast<int>(mesh.ranks.size()), facts().lanes);
  EXPECT_EQ(lease.lane_begin, lanes.begin);
  EXPECT_EQ(lease.lane_end, lanes.end);
  EXPECT_EQ(lease.first_step, generation_start_);
  EXPECT_LE(lease.end_step, facts().lease.steps);
}

void ElasticCluster::carry_out(const action::Drop& drop) {
  Link* link = find(drop.connection);
  if (link == nullptr) return;
  link->dropped = true;  // What was said on it is not read any more.
  link->said.clear();
  if (drop.farewell) send(*link, *drop.farewell);
}

void ElasticCluster::carry_out(const action::StoreCheckpoint& store) {
  EXPECT_FALSE(storing_);
  const std::int64_t step = store.manifest.step.value();
  EXPECT_EQ(store.manifest.files.size(), 2u);
  EXPECT_EQ((reported_[{generation_, step}].size()), 2u) << "stored before every part was reported in this generation";
  EXPECT_EQ(store.generation.value(), generation_);
  files_[step] = partial_.at({store.generation.value(), step});
  EXPECT_EQ(files_[step], chain(step));
  storing_ = step;
}

void ElasticCluster::carry_out(const action::VerifyCheckpoint&) {
  EXPECT_FALSE(verifying_) << "one at a time";
  EXPECT_FALSE(storing_) << "what is being stored would be overlooked";
  EXPECT_FALSE(commits_.empty());
  verifying_ = true;
}

void ElasticCluster::carry_out(const action::AggregateSnapshot& aggregate) {
  EXPECT_EQ(aggregate.world, std::ssize(meshes_[generation_].ranks));
  EXPECT_TRUE(aggregating_.insert(aggregate.step).second) << "one at a time of a step";
}

void ElasticCluster::carry_out(const action::AppendJournal& append) {
  journal_.push_back({std::ssize(journal_) + 1, "", append.event, append.data});
  if (append.event == "generation_started") {
    const auto generation = append.data.at("generation").get<std::uint64_t>();
    EXPECT_EQ(generation, fresh_ ? generation_ : generation_ + 1) << "one after the other";
    generation_ = generation;
    fresh_ = false;
  }
  if (append.event == "checkpoint_set_aside") {
    EXPECT_EQ(append.data.at("step").get<std::int64_t>(), commits_.back());
    commits_.pop_back();
  }
  if (append.event != "checkpoint_committed") return;
  const auto step = append.data.at("step").get<std::int64_t>();
  EXPECT_TRUE(commits_.empty() || step > commits_.back());
  const bool was_due = step % save_every_ == 0 || last_saves_.contains(step);
  EXPECT_TRUE(was_due || step == shared_->make_up) << "a checkpoint of step " << step << " was not due";
  made_up_ += was_due ? 0 : 1;
  commits_.push_back(step);
}

void ElasticCluster::carry_out(const action::AppendMetrics& append) {
  const auto step = append.line.at("step").get<std::int64_t>();
  const bool trained = append.line.at("kind") == "train";
  metrics_ += append.line.dump() + "\n";
  const bool is_void = (trained ? void_trained_ : void_held_out_).erase(step) > 0;
  const bool is_new = (trained ? trained_lines_ : held_out_lines_).insert(step).second;
  EXPECT_TRUE(is_new || is_void) << "step " << step << " has two lines of metrics";
  if (trained && step > 1) {
    EXPECT_TRUE(trained_lines_.contains(step - 1)) << "no line for step " << step - 1;
  }
}

void ElasticCluster::carry_out(const action::EndRun& end) {
  EXPECT_FALSE(ended_) << "it ends twice";
  ended_ = end;
}

}  // namespace plumbline
