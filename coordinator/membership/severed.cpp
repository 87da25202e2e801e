#include "coordinator/membership/severed.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "coordinator/membership/transition.hpp"

namespace plumbline {

namespace {

/// A host; within one host, where not the network but a worker is at fault, a worker.
struct Site {
  std::vector<int> ranks;
  std::int64_t newest = -1;    ///< step
  std::set<std::string> ways;  ///< to other sites, that are broken
};
using Sites = std::map<std::string, Site>;

std::string worker_site(const MemberPlace& member) { return member.host + "/" + std::to_string(member.rank); }

Sites sites_of(const std::vector<MemberPlace>& members, const std::set<SeveredPair>& severed, bool by_host) {
  const auto site_of = [&](const MemberPlace& member) { return by_host ? member.host : worker_site(member); };
  Sites sites;
  std::map<int, std::string> site_by_rank;
  for (const MemberPlace& member : members) {
    Site& site = sites[site_by_rank[member.rank] = site_of(member)];
    site.ranks.push_back(member.rank);
    site.newest = std::max(site.newest, member.step);
  }
  for (const auto& [one, other] : severed) {
    const auto a = site_by_rank.find(one), b = site_by_rank.find(other);
    if (a == site_by_rank.end() || b == site_by_rank.end() || a->second == b->second) continue;
    sites[a->second].ways.insert(b->second);
    sites[b->second].ways.insert(a->second);
  }
  return sites;
}

/// The next one to go; nobody when no way is broken.
Sites::iterator next_to_go(Sites& sites) {
  std::int64_t newest = -1;
  for (const auto& [name, site] : sites) newest = std::max(newest, site.newest);
  const auto holders =
      std::count_if(sites.begin(), sites.end(), [&](const auto& site) { return site.second.newest == newest; });
  const auto claim_to_go = [&](const Site& site) {
    const bool alone_holds_it = site.newest == newest && holders == 1;
    return std::tuple(!alone_holds_it, site.ways.size(), -site.newest, -std::ssize(site.ranks), site.ranks.front());
  };
  auto chosen = sites.end();
  for (auto site = sites.begin(); site != sites.end(); ++site) {
    if (site->second.ways.empty()) continue;
    if (chosen == sites.end() || claim_to_go(site->second) > claim_to_go(chosen->second)) chosen = site;
  }
  return chosen;
}

std::vector<int> part_until_all_reach(Sites sites) {
  std::vector<int> parted;
  for (auto site = next_to_go(sites); site != sites.end(); site = next_to_go(sites)) {
    for (const std::string& other : site->second.ways) sites.at(other).ways.erase(site->first);
    parted.insert(parted.end(), site->second.ranks.begin(), site->second.ranks.end());
    sites.erase(site);
  }
  return parted;
}

}  // namespace

std::vector<int> whom_to_part_with(const std::vector<MemberPlace>& members, const std::set<SeveredPair>& severed) {
  std::vector<int> parted = part_until_all_reach(sites_of(members, severed, /*by_host=*/true));
  std::vector<MemberPlace> left;
  std::copy_if(members.begin(), members.end(), std::back_inserter(left), [&](const MemberPlace& member) {
    return std::find(parted.begin(), parted.end(), member.rank) == parted.end();
  });
  const std::vector<int> more = part_until_all_reach(sites_of(left, severed, /*by_host=*/false));
  parted.insert(parted.end(), more.begin(), more.end());
  std::sort(parted.begin(), parted.end());
  return parted;
}

/// What a member could not reach in the generation that it leaves. Of who is lost by then nothing follows.
void Transition::note_unreached(int rank, const std::vector<int>& unreached) {
  for (const int other : unreached) {
    if (other == rank || !state_.members.contains(other)) continue;
    const bool is_new = state_.severed.insert(std::minmax(rank, other)).second;
    if (is_new) note(rank_name(rank) + " cannot reach " + rank_name(other), Tone::kWarning);
  }
}

/// Everybody has left the generation. Who goes is launched on another host, where one can be chosen.
void Transition::part_with_severed() {
  const std::set<SeveredPair> severed = std::exchange(state_.severed, {});
  if (severed.empty()) return;
  std::vector<MemberPlace> places;
  for (const auto& [rank, member] : state_.members)
    places.push_back({rank, member.host, member.ready ? member.ready->step : -1});
  std::vector<std::pair<int, std::string>> parted;
  for (const int rank : whom_to_part_with(places, severed)) {
    const auto pair = std::find_if(severed.begin(), severed.end(),
                                   [&](const SeveredPair& one) { return one.first == rank || one.second == rank; });
    parted.emplace_back(rank, pair == severed.end()
                                  ? "its host and another that takes part cannot reach each other"
                                  : "it and " + rank_name(pair->first == rank ? pair->second : pair->first) +
                                        " cannot reach each other");
  }
  for (const auto& [rank, why] : parted) {
    const Member& member = state_.members.at(rank);
    state_.elsewhere.insert(member.number);
    state_.parted.emplace(member.host, member.pid);
    lose_worker(rank, why);
  }
}

}  // namespace plumbline
