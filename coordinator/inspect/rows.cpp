#include "coordinator/inspect/rows.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "coordinator/inspect/range.hpp"

namespace plumbline {

namespace {

constexpr std::array<std::pair<Side, const char*>, 3> kSides{
    {{Side::kSource, "source"}, {Side::kDesired, "desired"}, {Side::kUndesired, "undesired"}}};

std::string decode(const Split::Place& place, Side side, const Tokenizer* tokenizer) {
  std::vector<std::int64_t> ids;
  place.shard->append(place.row, side, ids);  // ShardReader vouches for their range
  if (tokenizer != nullptr) return text_of(*tokenizer, ids);
  std::string text;
  for (const std::int64_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

}  // namespace

Places places_of(const Split& split) {
  Places places;
  places.reserve(static_cast<std::size_t>(split.size()));
  for (std::int64_t row = 0; row < split.size(); ++row) places.push_back(split.at(row));
  return places;
}

Places places_of(const ShardReader& shard) {
  Places places;
  places.reserve(static_cast<std::size_t>(shard.size()));
  for (std::int64_t row = 0; row < shard.size(); ++row) places.push_back({&shard, row});
  return places;
}

Places of_norm(const Places& places, std::uint16_t norm) {
  Places chosen;
  std::copy_if(places.begin(), places.end(), std::back_inserter(chosen),
               [&](const Split::Place& p) { return p.shard->norm(p.row) == norm; });
  return chosen;
}

const char* to_string(ExampleKind kind) {
  switch (kind) {
    case ExampleKind::kDemonstration:
      return "demonstration";
    case ExampleKind::kPreference:
      return "preference";
    case ExampleKind::kProhibition:
      return "prohibition";
  }
  return "unknown";
}

Json count_kinds(const Places& places) {
  std::map<ExampleKind, std::int64_t> counts;
  for (const auto& p : places) ++counts[p.shard->kind(p.row)];
  return Json{{"examples", places.size()},
              {"demonstrations", counts[ExampleKind::kDemonstration]},
              {"preferences", counts[ExampleKind::kPreference]},
              {"prohibitions", counts[ExampleKind::kProhibition]}};
}

Json measure_lengths(const Places& places) {
  Json lengths = Json::object();
  for (const auto& [side, name] : kSides) {
    std::int64_t tokens = 0, examples = 0;
    std::int32_t longest = 0;
    for (const auto& p : places) {
      const std::int32_t length = p.shard->length(p.row, side);
      tokens += length;
      examples += length > 0 ? 1 : 0;
      longest = std::max(longest, length);
    }
    if (examples == 0) continue;
    lengths[name] = {{"examples", examples},
                     {"tokens", tokens},
                     {"mean", static_cast<double>(tokens) / static_cast<double>(examples)},
                     {"longest", longest}};
  }
  return lengths;
}

Json measure_attributes(const Places& places) {
  std::map<std::string, Range> ranges;
  std::map<const ShardReader*, std::vector<std::string>> names;
  for (const auto& p : places) {
    auto [found, first] = names.try_emplace(p.shard);
    if (first) found->second = p.shard->attribute_names();
    for (const auto& name : found->second) ranges[name].add(static_cast<double>(p.shard->attribute(p.row, name)));
  }
  Json json = Json::object();
  for (const auto& [name, range] : ranges) json[name] = range.to_json();
  return json;
}

Json show_row(const Split::Place& place, std::int64_t row, const Tokenizer* tokenizer, const NormName& norm_name) {
  const ShardReader& shard = *place.shard;
  Json json{{"row", row},
            {"id", to_string(shard.id(place.row))},
            {"norm", norm_name(shard.norm(place.row))},
            {"kind", to_string(shard.kind(place.row))},
            {"weight", static_cast<double>(shard.weight(place.row))},
            {"attributes", Json::object()}};
  for (const auto& [side, name] : kSides)
    if (shard.length(place.row, side) > 0) json[name] = decode(place, side, tokenizer);
  for (const auto& name : shard.attribute_names()) {
    const float value = shard.attribute(place.row, name);
    if (!std::isnan(value)) json["attributes"][name] = static_cast<double>(value);
  }
  return json;
}

std::vector<std::size_t> spread(std::size_t total, int count) {
  const std::size_t chosen = std::min(total, static_cast<std::size_t>(std::max(0, count)));
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < chosen; ++i) places.push_back(i * total / chosen);
  return places;
}

}  // namespace plumbline
