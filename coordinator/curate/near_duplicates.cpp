#include "coordinator/curate/near_duplicates.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "common/core/check.hpp"
#include "common/core/utf8.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace plumbline {

namespace {

constexpr int kHashes = 128;
constexpr double kMissProbability = 1e-6;
/// Signatures that agree in this much less than the threshold belong to no near copy: the share of 128 hashes that
/// agree is off from the index by 0.25 (at least 5.6 standard deviations) in fewer than one pair in ten million.
constexpr double kEstimateSlack = 0.25;

using Signature = std::array<std::uint32_t, kHashes>;

std::uint64_t mix(std::uint64_t x) {  // SplitMix64
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// Multiply-shift hashing (Dietzfelbinger et al. 1997): one odd multiplier and one offset a hash.
struct HashFamily {
  std::array<std::uint64_t, kHashes> multipliers{}, offsets{};
  HashFamily() {
    for (std::size_t i = 0; i < kHashes; ++i) multipliers[i] = mix(2 * i) | 1, offsets[i] = mix(2 * i + 1);
  }
};

Signature signature_of(const std::vector<std::uint64_t>& shingle_hashes) {
  static const HashFamily family;
  Signature signature;
  signature.fill(std::numeric_limits<std::uint32_t>::max());
  for (const std::uint64_t shingle : shingle_hashes)
    for (std::size_t i = 0; i < kHashes; ++i) {
      const auto hash = static_cast<std::uint32_t>((family.multipliers[i] * shingle + family.offsets[i]) >> 32);
      signature[i] = std::min(signature[i], hash);
    }
  return signature;
}

double agreement(const Signature& a, const Signature& b) {
  int equal = 0;
  for (std::size_t i = 0; i < kHashes; ++i) equal += a[i] == b[i] ? 1 : 0;
  return equal / static_cast<double>(kHashes);
}

/// Lower case, and every run of white space one space.
std::string folded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (space && (out.empty() || out.back() == ' ')) continue;
    out += space ? ' ' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

/// Joins the near copies within one bucket of candidates.
class BucketJoiner {
 public:
  BucketJoiner(const std::vector<std::string_view>& texts, const std::vector<Signature>& signatures,
               const NearDuplicateOptions& options, DisjointSets& sets)
      : texts_(texts), signatures_(signatures), options_(options), sets_(sets) {}

  /// `members` are places among the distinct texts; `originals` their places among all.
  void join(const std::vector<std::uint32_t>& members, const std::vector<std::uint32_t>& originals) {
    for (std::size_t i = 0; i + 1 < members.size(); ++i) {
      std::vector<std::uint64_t> mine;  // computed when the first real candidate shows up
      for (std::size_t j = i + 1; j < members.size(); ++j) {
        const std::size_t a = originals[members[i]], b = originals[members[j]];
        if (sets_.find(a) == sets_.find(b)) continue;
        if (agreement(signatures_[members[i]], signatures_[members[j]]) < options_.threshold - kEstimateSlack) continue;
        if (mine.empty()) mine = shingles(texts_[a], options_.shingle);
        if (jaccard(mine, shingles(texts_[b], options_.shingle)) >= options_.threshold) sets_.join(a, b);
      }
    }
  }

 private:
  const std::vector<std::string_view>& texts_;
  const std::vector<Signature>& signatures_;
  const NearDuplicateOptions& options_;
  DisjointSets& sets_;
};

}  // namespace

DisjointSets::DisjointSets(std::size_t size) : parents_(size), sizes_(size, 1) {
  PLUMBLINE_CHECK(size < std::numeric_limits<std::uint32_t>::max(), "too many elements");
  std::iota(parents_.begin(), parents_.end(), 0u);
}

std::size_t DisjointSets::find(std::size_t element) {
  while (parents_[element] != element) element = parents_[element] = parents_[parents_[element]];
  return element;
}

void DisjointSets::join(std::size_t a, std::size_t b) {
  a = find(a), b = find(b);
  if (a == b) return;
  if (sizes_[a] < sizes_[b]) std::swap(a, b);
  parents_[b] = static_cast<std::uint32_t>(a);
  sizes_[a] += sizes_[b];
}

std::vector<std::uint64_t> shingles(std::string_view text, int length) {
  const std::string plain = folded(text);
  std::vector<std::size_t> starts;  // of each code point, and the end
  for (std::size_t at = 0; at < plain.size(); at += next_code_point(std::string_view(plain).substr(at)).bytes)
    starts.push_back(at);
  starts.push_back(plain.size());
  const auto points = starts.size() - 1, n = static_cast<std::size_t>(length);
  std::vector<std::uint64_t> hashes;
  if (points <= n) {
    hashes.push_back(XXH3_64bits(plain.data(), plain.size()));
    return hashes;
  }
  hashes.reserve(points - n + 1);
  for (std::size_t i = 0; i + n <= points; ++i)
    hashes.push_back(XXH3_64bits(plain.data() + starts[i], starts[i + n] - starts[i]));
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

double jaccard(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  std::size_t shared = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    if (*x == *y)
      ++shared, ++x, ++y;
    else if (*x < *y)
      ++x;
    else
      ++y;
  }
  const std::size_t all = a.size() + b.size() - shared;
  return all == 0 ? 1.0 : static_cast<double>(shared) / static_cast<double>(all);
}

int rows_per_band(double threshold) {
  int rows = 1;
  for (int r = 2; r <= 16; ++r)
    if (std::pow(1 - std::pow(threshold, r), kHashes / r) <= kMissProbability) rows = r;
  return rows;
}

void join_near_duplicates(const std::vector<std::string_view>& texts, const NearDuplicateOptions& options,
                          DisjointSets& sets) {
  PLUMBLINE_CHECK(texts.size() == sets.size(), "one element a text");
  // Equal texts need no signature.
  std::unordered_map<std::string_view, std::uint32_t> first_of;
  std::vector<std::uint32_t> originals;
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    const auto [place, is_new] = first_of.emplace(texts[i], i);
    if (is_new)
      originals.push_back(i);
    else
      sets.join(place->second, i);
  }
  std::vector<Signature> signatures;
  signatures.reserve(originals.size());
  for (const std::uint32_t original : originals)
    signatures.push_back(signature_of(shingles(texts[original], options.shingle)));

  const auto rows = static_cast<std::size_t>(rows_per_band(options.threshold));
  BucketJoiner joiner(texts, signatures, options, sets);
  std::vector<std::pair<std::uint64_t, std::uint32_t>> keyed(originals.size());
  for (std::size_t start = 0; start + rows <= kHashes; start += rows) {
    for (std::uint32_t i = 0; i < keyed.size(); ++i)
      keyed[i] = {XXH3_64bits(signatures[i].data() + start, rows * sizeof(std::uint32_t)), i};
    std::sort(keyed.begin(), keyed.end());
    std::vector<std::uint32_t> bucket;
    for (std::size_t i = 0; i < keyed.size(); ++i) {
      bucket.push_back(keyed[i].second);
      if (i + 1 < keyed.size() && keyed[i + 1].first == keyed[i].first) continue;
      if (bucket.size() > 1) joiner.join(bucket, originals);
      bucket.clear();
    }
  }
}

}  // namespace plumbline
