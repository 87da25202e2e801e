// Generation, one token a step: keys and values of what has been written are kept, those of the source are made once.
//
// On the CPU neither is ever moved. A slot holds the keys of one row, a head's positions side by side, so that reading
// them is one stream; origin says in which slot position l of a row of today was written, so that beams trade places,
// and finished rows leave, by changing a table of small numbers. Elsewhere rows are copied, which a GPU does faster
// than it follows a table.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "worker/activity.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

struct DecoderCache {
  struct Layer {
    at::Tensor keys, values;              ///< [width,H,capacity,K] by slot on the CPU, else [capacity,width,H*K]
    at::Tensor cross_keys, cross_values;  ///< [sources,H,S,K] on the CPU, else [S,sources,H*K]
  };
  std::shared_ptr<const PackedModel> model;
  std::vector<Layer> layers;
  std::vector<std::int32_t> origin;   ///< [length,rows]: the slot that holds position l of row r
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
  const auto written = [&](const at::Tensor& part, std::int64_t positions, std::int64_t slots) {
    return part.narrow(positions, 0, cache.length).narrow(slots, 0, cache.width);
  };
  for (auto& layer : cache.layers)
    for (at::Tensor* part : {&layer.keys, &layer.values}) {
      const at::Tensor& cross = layer.cross_keys;
      const bool slots_first = cross.is_cpu();
      at::Tensor larger = slots_first ? at::empty({width, cross.size(1), capacity, cross.size(3)}, cross.options())
                                      : at::empty({capacity, width, cross.size(2)}, cross.options());
      const std::int64_t positions = slots_first ? 2 : 0, slots = slots_first ? 0 : 1;
      if (cache.length > 0) written(larger, positions, slots).copy_(written(*part, positions, slots));
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
    return passes::attend(query, {layer.keys, layer.values, cache.origin.data(), cache.rows, L}, bias_HL, {});
  const auto written = [&](const at::Tensor& x) { return x.narrow(0, 0, L).narrow(1, 0, cache.rows); };
  return attend_in_order(query, written(layer.keys), written(layer.values), {bias_HL.unsqueeze(1), {}}, heads);
}

at::Tensor attend_to_source(const DecoderCache& cache, const DecoderCache::Layer& layer, const at::Tensor& query,
                            std::int64_t heads) {
  if (query.is_cpu())
    return passes::attend(query,
                          {layer.cross_keys, layer.cross_values, cache.sources.data(), 0, layer.cross_keys.size(2)}, {},
                          cache.cross_mask);
  const auto of_rows = [&](const at::Tensor& x) { return x.index_select(1, cache.source_of_row); };
  const at::Tensor mask =
      cache.cross_mask.defined() ? cache.cross_mask.index_select(0, cache.source_of_row) : at::Tensor();
  return attend_in_order(query, of_rows(layer.cross_keys), of_rows(layer.cross_values), {{}, mask}, heads);
}
}  // namespace

std::shared_ptr<const PackedModel> T5::packed() const {
  const std::uint64_t version = parameters_.version() + (adapter_ ? adapter_->parameters().version() : 0);
  auto known = packed_.lock();
  if (known != nullptr && packed_version_ == version) return known;
  const at::NoGradGuard no_grad;
  refresh();
  const auto packed_stack = [](const layers::Stack& stack) {
    layers::Stack result = stack;
    for (layers::Block& b : result.blocks)
      for (Projection* p : {&b.self.q, &b.self.k, &b.self.v, &b.self.o, &b.cross.q, &b.cross.k, &b.cross.v, &b.cross.o,
                            &b.ff.wi_0, &b.ff.wi_1, &b.ff.wo})
        *p = p->packed();
    return result;
  };
  const auto made =
      std::make_shared<const PackedModel>(PackedModel{packed_stack(encoder_), packed_stack(decoder_), head_.packed()});
  packed_ = made;
  packed_version_ = version;
  return made;
}

std::unique_ptr<DecoderCache, void (*)(DecoderCache*)> T5::start_cache(const at::Tensor& memory_BSD,
                                                                       const at::Tensor& source_mask_BS) const {
  const at::NoGradGuard no_grad;
  const std::int64_t B = memory_BSD.size(0), S = memory_BSD.size(1);
  auto cache =
      std::unique_ptr<DecoderCache, void (*)(DecoderCache*)>(new DecoderCache, [](DecoderCache* c) { delete c; });
  const at::Tensor memory = memory_BSD.transpose(0, 1).reshape({S * B, config_.d_model});
  const auto of_source = [&](const Projection& projection) {
    const at::Tensor made = projection.forward(memory);
    if (!made.is_cpu()) return made.view({S, B, -1});
    return made.view({S, B, config_.num_heads, config_.d_kv}).permute({1, 2, 0, 3}).contiguous();
  };
  cache->model = packed();
  for (const auto& block : cache->model->decoder.blocks) {
    DecoderCache::Layer layer;
    layer.cross_keys = of_source(block.cross.k);
    layer.cross_values = of_source(block.cross.v);
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
  activity().advance();
  const at::NoGradGuard no_grad;
  const layers::Stack& decoder = cache.model->decoder;
  const std::int64_t H = config_.num_heads, known = cache.capacity;
  make_room(cache);
  if (cache.capacity != known) {
    activity().writes_outputs(cache.rows, cache.capacity);
    const at::Tensor back = at::arange(cache.capacity - 1, -1, -1, token_B.options());
    const at::Tensor bucket = layers::relative_buckets(-back, false, config_.relative_attention_num_buckets,
                                                       config_.relative_attention_max_distance);
    cache.distance_bias = decoder.relative_bias.index_select(0, bucket).t().contiguous();
  }
  for (std::int32_t r = 0; r < cache.rows; ++r) cache.origin.push_back(r);
  const std::int64_t L = cache.length + 1;
  const at::Tensor bias_HL = cache.distance_bias.narrow(1, cache.capacity - L, L).contiguous();
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return passes::rms_norm(x, weight, config_.layer_norm_epsilon, parameters_.compute_type()).y;
  };
  const auto write = [&](at::Tensor& to, const at::Tensor& values) {
    if (to.is_cpu())
      to.select(2, cache.length).narrow(0, 0, cache.rows).copy_(values.view({cache.rows, H, -1}));
    else
      to.select(0, cache.length).narrow(0, 0, cache.rows).copy_(values);
  };
  at::Tensor x = at::embedding(shared_.master(), token_B);
  for (std::size_t i = 0; i < cache.layers.size(); ++i) {
    const auto& block = decoder.blocks[i];
    auto& layer = cache.layers[i];
    at::Tensor n = norm(x, block.self_norm);
    write(layer.keys, block.self.k.forward(n));
    write(layer.values, block.self.v.forward(n));
    x = block.self.o.forward_onto(x, attend_to_written(cache, layer, block.self.q.forward(n), bias_HL, H));
    n = norm(x, block.cross_norm);
    x = block.cross.o.forward_onto(x, attend_to_source(cache, layer, block.cross.q.forward(n), H));
    n = norm(x, block.ff_norm);
    const at::Tensor gate = block.ff.wi_1.defined() ? block.ff.wi_1.forward(n) : at::Tensor();
    x = block.ff.wo.forward_onto(x, passes::activate(block.ff.wi_0.forward(n), gate, block.ff.activation));
  }
  ++cache.length;
  at::Tensor states = norm(x, decoder.final_norm);
  if (head_scale() != 1) states.mul_(head_scale());
  return cache.model->head.forward(states).to(at::kFloat);
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
