// A worker's part of a snapshot: the encoder's vectors of the probe rows in its batches, mean-pooled over the source's
// real tokens. Batches are cut by the plan, so a row's vector does not depend on the number of workers. No gradient.
#pragma once
#include <vector>

#include "common/core/ids.hpp"
#include "common/data/dataset.hpp"
#include "common/record/snapshot.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

struct ProbeSet {
  const Split* split = nullptr;
  std::vector<std::int64_t> rows;  ///< probe_rows(): place in it is the probe index
  int batch_rows = 32, max_source_tokens = 512;
};

/// Batch b of the probe set's fixed batches belongs to rank b mod world. A rank without a batch gives a part of no
/// rows.
Snapshot encode_probe_part(const T5& model, const ProbeSet& probe, Step step, int rank, int world, at::Device device);

}  // namespace plumbline
