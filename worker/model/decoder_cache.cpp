// Generation, one token a step: keys and values of what has been written are kept, those of the source are made once.
//
// On the CPU neither is ever moved. Position l's keys are a block of the rows that lived then; origin says which of
// them a row of today descends from, so that beams trade places, and finished rows leave, by changing a table of small
// numbers. Elsewhere rows are copied, which a GPU does faster than it follows a table.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "worker/model/t5.hpp"

namespace plumbline {

struct DecoderCache {
  struct Layer {
    at::Tensor keys, values;              ///< [capacity,width,H*K]: positions < length, rows of each
    at::Tensor cross_keys, cross_values;  ///< [S,sources,H*K]
  };
  std::vector<Layer> layers;
  std::vector<std::int32_t> origin;   ///< [length,rows]: of which row of position l's block row r descends
  std::vector<std::int32_t> sources;  ///< by row: its source
  at::Tensor source_of_row;           ///< the same on the device, where it is no CPU
  at::Tensor cross_mask;              ///< [sources,S], additive; undefined: all keys are real
  at::Tensor distance_bias;           ///< [H,capacity]; entry capacity-1-d is the bias of a key d positions back
  std::int64_t rows = 0, length = 0, capacity = 0, width = 0;
};

namespace {
constexpr std::int64_t kFirstCapacity = 64;

/// Room for one position more and for all rows.
void make_room(DecoderCache& cache) {
  const std::int64_t capacity =
      cache.length < cache.capacity ? cache.capacity : std::max(kFirstCapacity, 2 * cache.capacity);
  const std::int64_t width = std::max(cache.width, cache.rows);
  if (capacity == cache.capacity && width == cache.width) return;
  for (auto& layer : cache.layers)
    for (at::Tensor* part : {&layer.keys, &layer.values}) {
      at::Tensor larger = at::empty({capacity, width, layer.cross_keys.size(2)}, layer.cross_keys.options());
      if (cache.length > 0)
        larger.narrow(0, 0, cache.length).narrow(1, 0, cache.width).copy_(part->narrow(0, 0, cache.length));
      *part = std::move(larger);
    }
  cache.capacity = capacity;
  cache.width = width;
}

/// query_B(HK), keys and values [L,B,HK] -> [B,HK], where rows are in order.
at::Tensor attend_in_order(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                           const passes::ScoreTerms& terms, std::int64_t heads) {
  const std::int64_t B = query.size(0), width = query.size(1), batch = B * heads, K = width / heads;
  const auto split = [&](const at::Tensor& x) { return x.reshape({-1, batch, K}).transpose(0, 1); };
  at::Tensor scores = at::bmm(split(query), split(keys).transpose(1, 2));
  passes::softmax_(scores, terms, heads);
  return at::bmm(scores, split(values)).reshape({B, width});
}

/// Attention to what has been written, this position's keys and values included.
at::Tensor attend_to_written(const DecoderCache& cache, const DecoderCache::Layer& layer, const at::Tensor& query,
                             const at::Tensor& bias_HL, std::int64_t heads) {
  const std::int64_t L = cache.length + 1;
  if (query.is_cpu())
    return passes::attend(query, {layer.keys, layer.values, cache.origin.data(), cache.rows, L}, bias_HL, {}, heads);
  const auto written = [&](const at::Tensor& x) { return x.narrow(0, 0, L).narrow(1, 0, cache.rows); };
  return attend_in_order(query, written(layer.keys), written(layer.values), {bias_HL.unsqueeze(1), {}}, heads);
}

at::Tensor attend_to_source(const DecoderCache& cache, const DecoderCache::Layer& layer, const at::Tensor& query,
                            std::int64_t heads) {
  if (query.is_cpu())
    return passes::attend(query,
                          {layer.cross_keys, layer.cross_values, cache.sources.data(), 0, layer.cross_keys.size(0)}, {},
                          cache.cross_mask, heads);
  const auto of_rows = [&](const at::Tensor& x) { return x.index_select(1, cache.source_of_row); };
  const at::Tensor mask =
      cache.cross_mask.defined() ? cache.cross_mask.index_select(0, cache.source_of_row) : at::Tensor();
  return attend_in_order(query, of_rows(layer.cross_keys), of_rows(layer.cross_values), {{}, mask}, heads);
}
}  // namespace

std::unique_ptr<DecoderCache, void (*)(DecoderCache*)> T5::start_cache(const at::Tensor& memory_BSD,
                                                                       const at::Tensor& source_mask_BS) const {
  const at::NoGradGuard no_grad;
  refresh();
  const std::int64_t B = memory_BSD.size(0), S = memory_BSD.size(1);
  auto cache =
      std::unique_ptr<DecoderCache, void (*)(DecoderCache*)>(new DecoderCache, [](DecoderCache* c) { delete c; });
  const at::Tensor memory = memory_BSD.transpose(0, 1).reshape({S * B, config_.d_model});
  for (const auto& block : decoder_.blocks) {
    DecoderCache::Layer layer;
    layer.cross_keys = block.cross.k.forward(memory).view({S, B, -1});
    layer.cross_values = block.cross.v.forward(memory).view({S, B, -1});
    cache->layers.push_back(std::move(layer));
  }
  cache->cross_mask = layers::additive_mask(source_mask_BS);
  cache->sources.resize(static_cast<std::size_t>(B));
  std::iota(cache->sources.begin(), cache->sources.end(), 0);
  if (!memory.is_cpu()) cache->source_of_row = at::arange(B, memory.options().dtype(at::kLong));
  cache->rows = B;
  return cache;
}

at::Tensor T5::step(DecoderCache& cache, const at::Tensor& token_B) const {
  const at::NoGradGuard no_grad;
  const std::int64_t H = config_.num_heads, known = cache.capacity;
  make_room(cache);
  if (cache.capacity != known) {
    const at::Tensor back = at::arange(cache.capacity - 1, -1, -1, token_B.options());
    const at::Tensor bucket = layers::relative_buckets(-back, false, config_.relative_attention_num_buckets,
                                                       config_.relative_attention_max_distance);
    cache.distance_bias = decoder_.relative_bias.index_select(0, bucket).t().contiguous();
  }
  for (std::int32_t r = 0; r < cache.rows; ++r) cache.origin.push_back(r);
  const std::int64_t L = cache.length + 1;
  const at::Tensor bias_HL = cache.distance_bias.narrow(1, cache.capacity - L, L).contiguous();
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return passes::rms_norm(x, weight, config_.layer_norm_epsilon, parameters_.compute_type()).y;
  };
  const auto write = [&](at::Tensor& to, const at::Tensor& values) {
    to.select(0, cache.length).narrow(0, 0, cache.rows).copy_(values);
  };
  at::Tensor x = at::embedding(shared_.master(), token_B);
  for (std::size_t i = 0; i < cache.layers.size(); ++i) {
    const auto& block = decoder_.blocks[i];
    auto& layer = cache.layers[i];
    at::Tensor n = norm(x, block.self_norm);
    write(layer.keys, block.self.k.forward(n));
    write(layer.values, block.self.v.forward(n));
    x = block.self.o.forward_onto(x, attend_to_written(cache, layer, block.self.q.forward(n), bias_HL, H));
    n = norm(x, block.cross_norm);
    x = block.cross.o.forward_onto(x, attend_to_source(cache, layer, block.cross.q.forward(n), H));
    x = block.ff.wo.forward_onto(x, layers::feed_forward_hidden(norm(x, block.ff_norm), block.ff));
  }
  ++cache.length;
  return logits(norm(x, decoder_.final_norm)).to(at::kFloat);
}

void T5::keep_rows(DecoderCache& cache, const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  const at::Tensor host = rows.to(at::kCPU).contiguous();
  const std::span kept(host.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(host.numel()));
  const auto before = static_cast<std::size_t>(cache.rows);
  const auto select = [&](const std::int32_t* from, std::vector<std::int32_t>& to) {
    for (const std::int64_t row : kept) to.push_back(from[row]);
  };
  std::vector<std::int32_t> sources, origin;
  select(cache.sources.data(), sources);
  cache.sources = std::move(sources);
  cache.rows = std::ssize(kept);
  if (rows.is_cpu()) {
    origin.reserve(static_cast<std::size_t>(cache.length) * kept.size());
    for (std::size_t l = 0; l < static_cast<std::size_t>(cache.length); ++l)
      select(cache.origin.data() + l * before, origin);
    cache.origin = std::move(origin);
    return;
  }
  cache.source_of_row = cache.source_of_row.index_select(0, rows);
  for (auto& layer : cache.layers)
    for (at::Tensor* part : {&layer.keys, &layer.values}) {
      if (!part->defined()) continue;
      at::Tensor moved = at::empty({cache.capacity, cache.rows, part->size(2)}, part->options());
      moved.narrow(0, 0, cache.length).copy_(part->narrow(0, 0, cache.length).index_select(1, rows));
      *part = std::move(moved);
    }
  cache.width = cache.rows;
}

}  // namespace plumbline
