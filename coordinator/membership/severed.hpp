// Workers that cannot reach each other, though the coordinator reaches both: the network between their hosts is broken,
// in one direction or both. They cannot be in one generation, so somebody has to go.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace plumbline {

/// Of one member of a generation that is over.
struct MemberPlace {
  int rank = 0;
  std::string host;
  std::int64_t step = -1;  ///< that it holds
};

/// Two ranks of which one could not reach the other, the lower first.
using SeveredPair = std::pair<int, int>;

/// The ranks to part with, ascending, so that nobody is left who could not reach another. What is broken between hosts
/// is broken for all workers on them, so all of a host go: the host with the most broken ways first, and of several the
/// one whose workers hold older steps, that has fewer workers, whose ranks are higher. A host whose workers alone hold
/// the newest step stays. Pairs with a rank that is no member do not count. Pure.
std::vector<int> whom_to_part_with(const std::vector<MemberPlace>& members, const std::set<SeveredPair>& severed);

}  // namespace plumbline
