// What a worker does in a run: train_loop.cpp tells it on one page, stages.cpp has each stage.
#pragma once
#include <memory>
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "worker/collective/collective.hpp"
#include "worker/session.hpp"

namespace plumbline {

struct WorkerContext {
  const RunConfig& config;
  const RunLayout& layout;
  Session& session;
  at::Device device;
  std::string fingerprint;
};

/// Holds the model from generation to generation. On the thread that computes.
class TrainLoop {
 public:
  enum class Ending { kFinished, kRegroup };  ///< the run is done here; another generation follows

  explicit TrainLoop(const WorkerContext& context);
  TrainLoop(const TrainLoop&) = delete;
  TrainLoop& operator=(const TrainLoop&) = delete;
  ~TrainLoop();

  /// One generation: trains, checkpoints, evaluates and takes snapshots as the coordinator's leases say. All ranks of
  /// the group together. After an error with a broken collective or a raised interrupt it may be called again, with
  /// another group: weights and optimizer are those of the newest step. Any other error is this worker's end.
  Result<Ending> run(const Assignment& assignment, Collective& collective);
  /// For one who will join others that train: does without them all that needs nobody (dataset, model, optimizer), so
  /// that they wait for nothing but a copy of their state.
  Status prepare_to_join();
  /// What it holds, as the coordinator wants to know it between two generations.
  [[nodiscard]] Ready holding() const;

 private:
  Result<Ending> take_part(const Assignment& assignment, Collective& collective);

  std::unique_ptr<class Stages> stages_;
};

}  // namespace plumbline
