// What a worker does from joining a run to leaving it. train_loop.cpp tells it from top to bottom.
#pragma once
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
  Collective& collective;
  at::Device device;
  std::string fingerprint;
};

/// Trains, checkpoints, evaluates and takes snapshots as the coordinator's leases say. All ranks of the group together,
/// on the thread that computes. An error is this worker's end; the caller reports it.
Status train_loop(const WorkerContext& context);

}  // namespace plumbline
