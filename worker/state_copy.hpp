// What training has made so far (the trained weights and the optimizer's state), named by a digest and copied from one
// rank to the others: how a laggard or a newcomer comes to hold what the rest of an elastic group holds.
#pragma once
#include <string>

#include "common/core/result.hpp"
#include "worker/collective/collective.hpp"
#include "worker/model/parameters.hpp"
#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

/// XXH3-128 over the bytes of the trained weights and of the optimizer's tensors, in their fixed order: 32 hex digits.
/// Against mistakes, not against an attacker.
std::string state_digest(const Parameters& trained, const Optimizer& optimizer);

/// Every rank's state becomes rank `source`'s. All ranks together. On an error the state is neither the old nor the
/// new.
Status copy_state(Collective& collective, int source, Parameters& trained, Optimizer& optimizer);

}  // namespace plumbline
