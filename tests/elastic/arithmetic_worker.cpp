// arithmetic-plumbline-worker: a worker of an elastic group without libtorch. The session, the mesh, the protocol and
// the order of stages are those of plumbline-worker (worker/elastic_worker.cpp, train_loop.cpp, stages.cpp); the model
// is an array of numbers, and a step adds numbers of the lanes along the fixed tree, where another order, a lane too
// few or another state shows in the bits. So the sanitizers see what is concurrent about a worker.
//
// PLUMBLINE_STEP_MS: how long a step takes at least, so that there is time to kill somebody; 5 by default.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <numeric>
#include <thread>

#include "common/config/loopback.hpp"
#include "common/core/check.hpp"
#include "common/core/clock.hpp"
#include "common/core/files.hpp"
#include "common/core/log.hpp"
#include "common/data/dataset.hpp"
#include "common/data/lane_shares.hpp"
#include "common/data/plan.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/run_layout.hpp"
#include "common/record/snapshot.hpp"
#include "worker/activity.hpp"
#include "worker/collective/mesh.hpp"
#include "worker/joining.hpp"
#include "worker/log.hpp"
#include "worker/session.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

using Numbers = std::vector<double>;
constexpr std::size_t kNumbers = 64;

std::string bytes_of(const Numbers& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}
Numbers numbers_of(const std::string& bytes) {
  Numbers numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}
Numbers sum(Numbers a, const Numbers& b) {
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), std::plus<>());
  return a;
}

std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// What lane `lane` contributes to the step after `step`: of such different sizes that no two orders have one sum.
Numbers lane_of(const Numbers& weights, std::int64_t step, int lane) {
  Numbers lane_numbers(kNumbers);
  for (std::size_t i = 0; i < kNumbers; ++i) {
    const std::uint64_t random =
        mixed(static_cast<std::uint64_t>(step) * 1'000'003 + static_cast<std::uint64_t>(lane) * 8'191 + i);
    const double share = static_cast<double>(random >> 11) * 0x1p-53 - 0.5;
    lane_numbers[i] = std::ldexp(share + weights[i] * 0x1p-4, static_cast<int>(random & 31) - 24);
  }
  return lane_numbers;
}

/// The tree of worker/gradient/tree_reduce.hpp. `whole`: the sums of subtrees that are known, by first lane and end.
using Sums = std::map<std::pair<int, int>, Numbers>;
Numbers sum_of(LaneRange node, const Sums& whole) {
  if (const auto known = whole.find({node.begin, node.end}); known != whole.end()) return known->second;
  PLUMBLINE_CHECK(node.end - node.begin > 1, "a lane is missing");
  const int middle = (node.begin + node.end) / 2;
  return sum(sum_of({node.begin, middle}, whole), sum_of({middle, node.end}, whole));
}
void collect_subtrees(LaneRange node, LaneRange range, std::vector<LaneRange>& out) {
  if (node.end <= range.begin || range.end <= node.begin) return;
  if (range.begin <= node.begin && node.end <= range.end) return out.push_back(node);
  const int middle = (node.begin + node.end) / 2;
  collect_subtrees({node.begin, middle}, range, out);
  collect_subtrees({middle, node.end}, range, out);
}

class ArithmeticWorker {
 public:
  ArithmeticWorker(const RunConfig& config, const RunLayout& layout, Session& session, const MeshListener& listener)
      : config_(config), layout_(layout), session_(session), listener_(listener) {
    if (const char* text = std::getenv("PLUMBLINE_STEP_MS")) pace_ = std::chrono::milliseconds(std::atoi(text));
  }

  Status work() {
    PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(config_.data, Verify::kSizes));
    for (const Norm& norm : dataset.info().norms) norms_.push_back(norm.name);
    probes_ = std::ssize(probe_rows(dataset.held_out(), norms_.size(), config_.snapshot.examples, config_.seed));
    for (;;) {
      const std::optional<Assignment> assignment = session_.ready(holding());
      if (!assignment) return {};
      PLUMBLINE_TRY(session_.report_again(*assignment));
      PLUMBLINE_ASSIGN(const bool finished, take_part(*assignment));
      if (finished && session_.dismissed()) return {};
    }
  }

 private:
  [[nodiscard]] Ready holding() const { return holds_ ? Ready{step_, sha256_hex(bytes_of(weights_))} : Ready{}; }

  /// True when it has finished; a generation that broke is no error.
  Result<bool> take_part(const Assignment& assignment) {
    assignment_ = assignment;
    saved_ = assignment.checkpointed, measured_ = assignment.measured, pictured_ = assignment.pictured;
    MeshPlace place;
    place.rank = assignment.rank, place.addresses = assignment.mesh, place.generation = assignment.generation;
    place.key = assignment.key, place.encrypted = !is_loopback(config_.control.bind);
    auto mesh = Mesh::gather(place, listener_, session_.interrupt());
    if (mesh.has_error()) return after_break(mesh.error());
    mesh_ = &mesh.value();
    activity().begin_group();
    shares_ = assignment.shares.empty() ? even_shares(assignment.world, config_.train.lanes) : assignment.shares;
    if (!is_whole(shares_, assignment.world, config_.train.lanes)) return run_error("the shares are not all lanes");
    const Result<bool> ended = train();
    give_up_checkpoint();
    if (ended.has_error() && (mesh->broken() || session_.interrupt().raised() || !session_.connected()))
      return after_break(ended.error());
    return ended;
  }
  static bool after_break(const Error& why) {
    log_info("generation ends here: " + to_string(why));
    return false;
  }

  Result<bool> train() {
    PLUMBLINE_TRY(assignment_.source < 0 ? begin_from_files() : join_others());
    for (;;) {
      PLUMBLINE_TRY(do_what_is_due());
      enter("training");
      PLUMBLINE_ASSIGN(const Lease lease, session_.lease_beyond(step_));
      if (step_ < lease.end_step) {
        PLUMBLINE_TRY(take_step(lease));
        continue;
      }
      if (lease.regroup) {
        PLUMBLINE_TRY(await_checkpoint());
        return false;
      }
      PLUMBLINE_TRY(finish(lease));
      return true;
    }
  }

  Status barrier() {
    const Activity::Call call("barrier");
    return mesh_->barrier();
  }
  Result<std::vector<std::string>> gather(const std::string& mine) {
    const Activity::Call call("all_gather_bytes");
    return mesh_->all_gather_bytes(mine);
  }

  Status begin_from_files() {
    holds_ = false;
    weights_.assign(kNumbers, 1.0);
    if (!assignment_.resume_from.empty()) {
      PLUMBLINE_ASSIGN(const std::string bytes,
                       read_file(layout_.root() / assignment_.resume_from / "model.safetensors"));
      weights_ = numbers_of(bytes);
    } else if (assignment_.rank == 0) {
      PLUMBLINE_TRY(evaluate(0));
    }
    PLUMBLINE_TRY(barrier());
    step_ = assignment_.start_step;
    holds_ = true;
    return {};
  }

  Status join_others() {
    enter("joining");
    const auto source = static_cast<std::size_t>(assignment_.source);
    const bool is_source = assignment_.rank == assignment_.source;
    PLUMBLINE_ASSIGN(const auto reports, gather(is_source ? session_.unrecorded(assignment_) : std::string()));
    if (!is_source) PLUMBLINE_TRY(session_.take_over(reports[source]));
    const Ready mine = holding();
    PLUMBLINE_ASSIGN(const auto all, gather(std::to_string(mine.step) + " " + mine.weights));
    if (std::any_of(all.begin(), all.end(), [&](const std::string& held) { return held != all[source]; })) {
      holds_ = holds_ && all[static_cast<std::size_t>(assignment_.rank)] == all[source];
      weights_.resize(kNumbers);
      const Activity::Call call("broadcast");
      PLUMBLINE_TRY(
          mesh_->broadcast({reinterpret_cast<char*>(weights_.data()), kNumbers * sizeof(double)}, assignment_.source));
    }
    step_ = assignment_.start_step;
    holds_ = true;
    return {};
  }

  Status take_step(const Lease& lease) {
    const SteadyTime begin = std::chrono::steady_clock::now();
    std::vector<LaneRange> subtrees;
    collect_subtrees({0, config_.train.lanes}, {lease.lane_begin, lease.lane_end}, subtrees);
    Sums sums;
    for (int lane = lease.lane_begin; lane < lease.lane_end; ++lane)
      sums[{lane, lane + 1}] = lane_of(weights_, step_, lane);
    std::string mine;
    if (const LaneRange own = lanes_of(assignment_.rank, shares_);
        own.begin != lease.lane_begin || own.end != lease.lane_end)
      return run_error("the lease is for other lanes than the assignment");
    for (const LaneRange& node : subtrees) mine += bytes_of(sum_of(node, sums));
    std::this_thread::sleep_until(begin + pace_);  // stands for the time that a model takes
    activity().advance();
    session_.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    PLUMBLINE_ASSIGN(const auto all, gather(mine));
    sums.clear();
    for (int rank = 0; rank < assignment_.world; ++rank) {
      const Numbers partials = numbers_of(all[static_cast<std::size_t>(rank)]);
      subtrees.clear();
      collect_subtrees({0, config_.train.lanes}, lanes_of(rank, shares_), subtrees);
      if (partials.size() != subtrees.size() * kNumbers) return run_error("another rank sent other lanes' sums");
      for (std::size_t i = 0; i < subtrees.size(); ++i) {
        const auto first = partials.begin() + static_cast<std::ptrdiff_t>(i * kNumbers);
        sums[{subtrees[i].begin, subtrees[i].end}] = Numbers(first, first + kNumbers);
      }
    }
    const Numbers gradient = sum_of({0, config_.train.lanes}, sums);
    for (std::size_t i = 0; i < kNumbers; ++i) weights_[i] -= 0.01 * gradient[i];
    ++step_;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return session_.report({step_, line_of("train", {{"seconds", seconds}, {"tokens_per_second", 100.0}})},
                           assignment_.rank);
  }

  Status do_what_is_due() {
    const auto is_due = [&](std::int64_t every) { return every > 0 && step_ % every == 0; };
    if (step_ == 0 || is_due(config_.evaluate.every)) PLUMBLINE_TRY(measure());
    if (step_ > 0 && (is_due(config_.checkpoint.every) || step_ == assignment_.make_up)) PLUMBLINE_TRY(save());
    if (step_ > 0 && is_due(config_.snapshot.every)) PLUMBLINE_TRY(picture());
    return {};
  }
  Status measure() {
    if (measured_ >= step_) return {};
    enter("evaluation");
    PLUMBLINE_TRY(barrier());
    measured_ = step_;
    return session_.report({step_, line_of("heldout", Json::object())}, assignment_.rank);
  }
  /// A copy, written by a thread while training goes on, as worker/stages_saving.cpp has it.
  Status save() {
    if (std::max(saved_, saving_) >= step_) return {};
    PLUMBLINE_TRY(await_checkpoint());
    enter("checkpoint");
    const fs::path folder = layout_.partial_checkpoint(Step(step_), assignment_.generation);
    std::error_code ec;
    if (assignment_.rank == 0) fs::remove_all(folder, ec), fs::create_directories(folder, ec);
    PLUMBLINE_TRY(barrier());
    std::map<std::string, std::string> parts;
    if (assignment_.rank == 0) parts["model.safetensors"] = bytes_of(weights_);
    if (assignment_.rank == 1 % assignment_.world) parts["state.json"] = std::to_string(step_);
    saving_ = step_;
    written_ = std::async(std::launch::async, [this, folder, parts, step = step_]() -> Status {
      for (const auto& [name, content] : parts) {
        PLUMBLINE_TRY(write_file_atomically(folder / name, content));
        PLUMBLINE_TRY(session_.send(PartWritten{step, name, content.size(), sha256_hex(content), 2}));
      }
      return {};
    });
    return {};
  }
  Status await_checkpoint() {
    if (saving_ < 0) return {};
    enter("checkpoint");
    if (written_.valid()) PLUMBLINE_TRY(written_.get());
    PLUMBLINE_ASSIGN(const std::string hash, session_.committed(saving_));
    saved_ = std::exchange(saving_, -1);
    return {};
  }
  void give_up_checkpoint() {
    if (written_.valid()) static_cast<void>(written_.get());
    saving_ = -1;
  }
  Status picture() {
    if (pictured_ >= step_) return {};
    enter("snapshot");
    Snapshot part;
    part.step = step_, part.dimension = 2;
    for (std::int64_t probe = assignment_.rank; probe < probes_; probe += assignment_.world) {
      part.probe_index.push_back(probe), part.ids.push_back({static_cast<std::uint64_t>(probe), 1});
      part.norms.push_back(0);
      part.vectors.insert(part.vectors.end(), {static_cast<float>(probe), static_cast<float>(weights_[0])});
    }
    const fs::path file = layout_.snapshot_part(Step(step_), assignment_.rank);
    std::error_code ec;
    fs::create_directories(file.parent_path(), ec);
    PLUMBLINE_TRY(write_snapshot(file, part));
    pictured_ = step_;
    return announce("snapshot_part", step_, file);
  }
  Status finish(const Lease& lease) {
    PLUMBLINE_TRY(save());
    PLUMBLINE_TRY(await_checkpoint());
    if (!lease.stop) {
      PLUMBLINE_TRY(measure());
      if (assignment_.rank == 0) PLUMBLINE_TRY(evaluate(step_));
      PLUMBLINE_TRY(barrier());
      PLUMBLINE_TRY(picture());
    }
    enter("finished");
    return session_.send(Finished{step_});
  }
  Status evaluate(std::int64_t step) {
    std::vector<EvaluationRow> rows;
    for (const std::string& norm : norms_) {
      EvaluationRow row;
      row.row = std::ssize(rows), row.id = "0", row.norm = norm, row.source = "a", row.desired = "b";
      row.output = step == 0 ? "a" : "b";
      rows.push_back(std::move(row));
    }
    const fs::path file = layout_.evaluation_rows(Step(step));
    std::error_code ec;
    fs::create_directories(file.parent_path(), ec);
    PLUMBLINE_TRY(write_evaluation(file, rows));
    return announce("evaluation", step, file);
  }
  Status announce(const std::string& kind, std::int64_t step, const fs::path& file) {
    return session_.send(Artifact{kind, step, file.lexically_relative(layout_.root()).string()});
  }
  [[nodiscard]] Json line_of(const std::string& kind, Json more) const {
    Json norms = Json::object();
    for (const std::string& norm : norms_) norms[norm] = {{"loss", weights_[0]}};
    more.update({{"kind", kind}, {"step", step_}, {"time", utc_now()}, {"loss", weights_[0]}, {"norms", norms}});
    return more;
  }
  void enter(const std::string& phase) { session_.at(step_, phase); }

  const RunConfig& config_;
  const RunLayout& layout_;
  Session& session_;
  const MeshListener& listener_;
  std::chrono::milliseconds pace_{5};
  std::vector<std::string> norms_;
  std::int64_t probes_ = 0;
  Assignment assignment_;
  Mesh* mesh_ = nullptr;  ///< of the present generation
  LaneShares shares_;
  Numbers weights_;
  bool holds_ = false;
  std::int64_t step_ = 0, saved_ = -1, measured_ = -1, pictured_ = -1;
  std::int64_t saving_ = -1;     ///< step of the checkpoint that is being written or committed; -1: none
  std::future<Status> written_;  ///< its parts of this rank
};

Status join(const RunLayout& layout, int number) {
  PLUMBLINE_ASSIGN(const RunConfig config, load_run_config(layout.config(), {}));
  PLUMBLINE_TRY(init_log({"info", layout.worker_log(number), /*standard_error=*/true}));
  PLUMBLINE_ASSIGN(const MeshListener listener, MeshListener::open(config.control.bind));
  const char* group = std::getenv("PLUMBLINE_GROUP");
  Hello hello = introduce(group != nullptr ? group : "", "arithmetic");
  hello.rank = number, hello.world = 0, hello.mesh = listener.address();
  SessionOptions options = session_options(config, layout);
  options.orphan = std::chrono::milliseconds(config.control.orphan_ms);
  PLUMBLINE_ASSIGN(const auto session, Session::join(layout.root(), std::move(hello), std::move(options)));
  const Status status =
      guarded(config, "worker", [&] { return ArithmeticWorker(config, layout, *session, listener).work(); });
  take_leave(*session, status);
  return status;
}

}  // namespace
}  // namespace plumbline

extern "C" void end_on_signal(int signal_number) { _exit(128 + signal_number); }

int main(int argc, char** argv) {
  using namespace plumbline;
  CLI::App app("A worker of an elastic group whose model is an array of numbers, for tests.");
  std::string run;
  int number = 0;
  app.add_option("--join", run, "Run directory")->required();
  app.add_option("--worker", number, "Number in the group")->required();
  CLI11_PARSE(app, argc, argv);
  signal(SIGTERM, end_on_signal);
  signal(SIGPIPE, SIG_IGN);
  const Status status = join(RunLayout(run), number);
  if (status.has_value()) return 0;
  log_error(to_string(status.error()));
  exit_now(static_cast<int>(status.error().code));
}
