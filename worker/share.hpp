// Work that is cut by the plan and shared out over the ranks, and agreement between them. All ranks call these
// together.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

/// Batch b of `batches` is done by rank b mod world. Every rank gets every batch's bytes, by b: what is made of them
/// does not depend on the number of workers.
Result<std::vector<std::string>> share_batches(Collective& collective, std::size_t batches,
                                               const std::function<Result<std::string>(std::size_t)>& work);

/// The same outcome on every rank: success when all succeeded, else the lowest failed rank's error.
Status agree(Collective& collective, const Status& mine);

}  // namespace plumbline
