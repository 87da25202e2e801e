// Generation, one token a step: keys and values of what has been written are kept, those of the source are made once.
// Row-major here: [B,H,…], since each step adds one position to every row.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "worker/model/t5.hpp"

namespace plumbline {

struct DecoderCache {
  struct Layer {
    at::Tensor keys, values;              ///< [B,H,capacity,K]; positions < length hold values
    at::Tensor cross_keys, cross_values;  ///< [B,H,S,K]
  };
  std::vector<Layer> layers;
  std::vector<std::int64_t> sources;  ///< by row: whose keys and values of the source it holds
  at::Tensor cross_mask;              ///< [B,S], additive; undefined: all keys are real
  at::Tensor distance_bias;           ///< [H,capacity]; entry capacity-1-d is the bias of a key d positions back
  std::int64_t rows = 0, length = 0, capacity = 0;
};

namespace {
constexpr std::int64_t kFirstCapacity = 64;

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {  // [B,HK] -> [B,H,1,K]
  return x.view({x.size(0), heads, 1, x.size(1) / heads});
}

/// query [B,H,1,K], keys and values [B,H,L,K] (a strided view) -> [B,HK].
at::Tensor attend(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                  const passes::ScoreTerms& terms) {
  const std::int64_t B = query.size(0), H = query.size(1), K = query.size(3), L = keys.size(2);
  at::Tensor scores = at::bmm(query.view({B * H, 1, K}), keys.view({B * H, L, K}).transpose(1, 2));
  passes::softmax_(scores, terms, H);
  return at::bmm(scores, values.view({B * H, L, K})).view({B, H * K});
}
}  // namespace

std::unique_ptr<DecoderCache, void (*)(DecoderCache*)> T5::start_cache(const at::Tensor& memory_BSD,
                                                                       const at::Tensor& source_mask_BS) const {
  const at::NoGradGuard no_grad;
  refresh();
  const std::int64_t B = memory_BSD.size(0), S = memory_BSD.size(1), H = config_.num_heads, K = config_.d_kv;
  auto cache =
      std::unique_ptr<DecoderCache, void (*)(DecoderCache*)>(new DecoderCache, [](DecoderCache* c) { delete c; });
  const at::Tensor memory = memory_BSD.reshape({B * S, config_.d_model});
  for (const auto& block : decoder_.blocks) {
    DecoderCache::Layer layer;
    const auto project = [&](const Projection& projection) {
      return projection.forward(memory).view({B, S, H, K}).transpose(1, 2).contiguous();
    };
    layer.cross_keys = project(block.cross.k);
    layer.cross_values = project(block.cross.v);
    cache->layers.push_back(std::move(layer));
  }
  cache->cross_mask = layers::additive_mask(source_mask_BS);
  cache->sources.resize(static_cast<std::size_t>(B));
  std::iota(cache->sources.begin(), cache->sources.end(), 0);
  cache->rows = B;
  return cache;
}

at::Tensor T5::step(DecoderCache& cache, const at::Tensor& token_B) const {
  const at::NoGradGuard no_grad;
  const std::int64_t B = cache.rows, H = config_.num_heads, K = config_.d_kv;
  if (cache.length == cache.capacity) {
    const std::int64_t capacity = std::max(kFirstCapacity, 2 * cache.capacity);
    for (auto& layer : cache.layers)
      for (at::Tensor* part : {&layer.keys, &layer.values}) {
        at::Tensor larger = at::empty({B, H, capacity, K}, layer.cross_keys.options());
        if (cache.length > 0) larger.narrow(2, 0, cache.length).copy_(part->narrow(2, 0, cache.length));
        *part = larger;
      }
    const at::Tensor back = at::arange(capacity - 1, -1, -1, token_B.options());
    const at::Tensor bucket = layers::relative_buckets(-back, false, config_.relative_attention_num_buckets,
                                                       config_.relative_attention_max_distance);
    cache.distance_bias = decoder_.relative_bias.index_select(0, bucket).t().contiguous();
    cache.capacity = capacity;
  }
  const std::int64_t L = cache.length + 1;
  const at::Tensor self_bias = cache.distance_bias.narrow(1, cache.capacity - L, L).contiguous();
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return passes::rms_norm(x, weight, config_.layer_norm_epsilon, parameters_.compute_type()).y;
  };
  at::Tensor x = at::embedding(shared_.master(), token_B);
  for (std::size_t i = 0; i < cache.layers.size(); ++i) {
    const auto& block = decoder_.blocks[i];
    auto& layer = cache.layers[i];
    at::Tensor n = norm(x, block.self_norm);
    layer.keys.narrow(2, cache.length, 1).copy_(split_heads(block.self.k.forward(n), H));
    layer.values.narrow(2, cache.length, 1).copy_(split_heads(block.self.v.forward(n), H));
    at::Tensor context = attend(split_heads(block.self.q.forward(n), H), layer.keys.narrow(2, 0, L),
                                layer.values.narrow(2, 0, L), {self_bias, {}});
    x = block.self.o.forward_onto(x, context);
    n = norm(x, block.cross_norm);
    context =
        attend(split_heads(block.cross.q.forward(n), H), layer.cross_keys, layer.cross_values, {{}, cache.cross_mask});
    x = block.cross.o.forward_onto(x, context);
    x = block.ff.wo.forward_onto(x, layers::feed_forward_hidden(norm(x, block.ff_norm), block.ff));
  }
  ++cache.length;
  return logits(norm(x, decoder_.final_norm)).to(at::kFloat);
}

void T5::keep_rows(DecoderCache& cache, const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  const std::int64_t H = config_.num_heads, kept = rows.size(0);
  for (auto& layer : cache.layers)
    for (at::Tensor* part : {&layer.keys, &layer.values}) {
      if (!part->defined()) continue;
      at::Tensor smaller = at::empty({kept, H, cache.capacity, config_.d_kv}, part->options());
      smaller.narrow(2, 0, cache.length).copy_(part->narrow(2, 0, cache.length).index_select(0, rows));
      *part = smaller;
    }
  const at::Tensor host = rows.to(at::kCPU).contiguous();
  std::vector<std::int64_t> sources;
  for (std::int64_t i = 0; i < kept; ++i)
    sources.push_back(cache.sources.at(static_cast<std::size_t>(host.const_data_ptr<std::int64_t>()[i])));
  cache.rows = kept;
  // Beams trade places within their source, step after step: then what belongs to the source stays as it is.
  if (std::exchange(cache.sources, sources) == sources) return;
  for (auto& layer : cache.layers)
    for (at::Tensor* part : {&layer.cross_keys, &layer.cross_values}) *part = part->index_select(0, rows);
  if (cache.cross_mask.defined()) cache.cross_mask = cache.cross_mask.index_select(0, rows);
}

}  // namespace plumbline
