// A part of reference log-probs (HDF5), version 1; g groups, n outputs. docs/formats.md says the same:
//   attributes of the root   version (int64, 1), model (UTF-8 string)
//   /keys                    uint64  [g, 2]   the group's key, the high half first
//   /offsets                 int64   [g+1]    group i has the outputs offsets[i] to offsets[i+1]
//   /log_probs               float32 [n, 2]   sums over an output's tokens: all, and those that differ in a pair
//   /tokens                  int32   [n, 2]   how many those are
#include "common/record/reference_part.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/data/hdf5.hpp"

namespace plumbline {

namespace {

constexpr std::int64_t kReferenceVersion = 1;

GroupKey hash_of(const void* bytes, std::size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size);
  return {hash.high64, hash.low64};
}

}  // namespace

GroupKey group_key(const std::vector<RowTokens>& rows) {
  // Every side carries its length, so that no two groups give the same numbers.
  std::vector<std::int32_t> content;
  for (const RowTokens& row : rows)
    for (const auto* tokens : {&row.source, &row.desired, &row.undesired}) {
      content.push_back(static_cast<std::int32_t>(tokens->size()));
      for (const std::int64_t token : *tokens) content.push_back(static_cast<std::int32_t>(token));
    }
  return hash_of(content.data(), content.size() * sizeof(std::int32_t));
}

std::string reference_part_name(const ReferencePart& part) {
  std::vector<std::uint64_t> keys;
  for (const ScoredGroup& group : part.groups) keys.insert(keys.end(), {group.key.high, group.key.low});
  return to_string(hash_of(keys.data(), keys.size() * sizeof(std::uint64_t))) + ".h5";
}

Status write_reference_part(const std::filesystem::path& file, const ReferencePart& part) {
  std::vector<std::uint64_t> keys;
  std::vector<std::int64_t> offsets{0};
  std::vector<float> log_probs;
  std::vector<std::int32_t> tokens;
  for (const ScoredGroup& group : part.groups) {
    keys.insert(keys.end(), {group.key.high, group.key.low});
    offsets.push_back(offsets.back() + std::ssize(group.outputs));
    for (const ScoredOutput& output : group.outputs) {
      log_probs.insert(log_probs.end(), {output.log_prob, output.differing_log_prob});
      tokens.insert(tokens.end(), {output.tokens, output.differing_tokens});
    }
  }
  PLUMBLINE_ASSIGN(H5File h5, H5File::create(file));
  PLUMBLINE_TRY(h5.write_attribute("version", kReferenceVersion));
  PLUMBLINE_TRY(h5.write_attribute("model", part.model));
  PLUMBLINE_TRY(h5.write("keys", keys, {part.groups.size(), 2}));
  PLUMBLINE_TRY(h5.write("offsets", offsets));
  PLUMBLINE_TRY(h5.write("log_probs", log_probs, {log_probs.size() / 2, 2}));
  PLUMBLINE_TRY(h5.write("tokens", tokens, {tokens.size() / 2, 2}));
  return h5.flush_and_close();
}

Result<ReferencePart> read_reference_part(const std::filesystem::path& file, const std::string& model) {
  const std::string where = file.string();
  PLUMBLINE_ASSIGN(const H5File h5, H5File::open(file));
  PLUMBLINE_ASSIGN(const std::int64_t version, h5.int_attribute("version"));
  if (version != kReferenceVersion)
    return data_error("the log-probs have version " + std::to_string(version) + ", this program reads version " +
                          std::to_string(kReferenceVersion),
                      where);
  ReferencePart part;
  PLUMBLINE_ASSIGN(part.model, h5.text_attribute("model"));
  if (part.model != model) return data_error("the log-probs are another model's", where);
  PLUMBLINE_ASSIGN(const auto keys, h5.read<std::uint64_t>("keys"));
  PLUMBLINE_ASSIGN(const auto offsets, h5.read<std::int64_t>("offsets"));
  PLUMBLINE_ASSIGN(const auto log_probs, h5.read<float>("log_probs"));
  PLUMBLINE_ASSIGN(const auto tokens, h5.read<std::int32_t>("tokens"));
  bool fits = !offsets.empty() && offsets.front() == 0 && 2 * offsets.back() == std::ssize(log_probs) &&
              keys.size() == 2 * (offsets.size() - 1) && tokens.size() == log_probs.size();
  for (std::size_t i = 1; fits && i < offsets.size(); ++i) fits = offsets[i - 1] <= offsets[i];
  if (!fits) return data_error("the parts of the file do not fit together", where);
  for (std::size_t g = 0; g + 1 < offsets.size(); ++g) {
    ScoredGroup& group = part.groups.emplace_back();
    group.key = {keys[2 * g], keys[2 * g + 1]};
    for (auto o = static_cast<std::size_t>(2 * offsets[g]); o < static_cast<std::size_t>(2 * offsets[g + 1]); o += 2)
      group.outputs.push_back({log_probs[o], log_probs[o + 1], tokens[o], tokens[o + 1]});
  }
  return part;
}

}  // namespace plumbline
