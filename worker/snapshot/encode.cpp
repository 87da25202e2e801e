#include "worker/snapshot/encode.hpp"

#include <set>
#include <unordered_map>

#include "common/data/plan.hpp"
#include "worker/batch/batch.hpp"

namespace plumbline {

namespace {

/// memory_BSD, mask_BS -> [B,D]: mean over real tokens.
at::Tensor mean_pooled(const at::Tensor& memory_BSD, const at::Tensor& mask_BS) {
  const at::Tensor mask = mask_BS.to(memory_BSD.scalar_type()).unsqueeze(-1);
  return (memory_BSD * mask).sum(1) / mask.sum(1);
}

}  // namespace

Snapshot encode_probe_part(const T5& model, const ProbeSet& probe, Step step, int rank, int world, at::Device device) {
  const at::NoGradGuard no_grad;
  const Split& split = *probe.split;
  Snapshot part;
  part.step = step.value();
  part.dimension = model.config().d_model;
  std::set<std::string> attributes;  // of the whole probe set, so that every part has the same
  std::unordered_map<std::int64_t, std::int64_t> index_of;
  for (std::size_t i = 0; i < probe.rows.size(); ++i) {
    index_of.emplace(probe.rows[i], static_cast<std::int64_t>(i));
    for (auto& name : split.at(probe.rows[i]).shard->attribute_names()) attributes.insert(std::move(name));
  }
  for (const auto& name : attributes) part.attributes[name];
  const auto batches = fixed_batches(split, probe.rows, probe.batch_rows);
  for (std::size_t b = static_cast<std::size_t>(rank); b < batches.size(); b += static_cast<std::size_t>(world)) {
    const Batch batch = make_batch(split, batches[b], probe.max_source_tokens, 1, device);
    const at::Tensor memory_BSD = model.encode(batch.source_BS, batch.source_mask_BS).to(at::kFloat);
    const at::Tensor vectors = mean_pooled(memory_BSD, batch.source_mask_BS).to(at::kCPU, at::kFloat).contiguous();
    const float* values = vectors.const_data_ptr<float>();
    part.vectors.insert(part.vectors.end(), values, values + vectors.numel());
    for (const std::int64_t row : batches[b]) {
      part.probe_index.push_back(index_of.at(row));
      part.ids.push_back(split.id(row));
      part.norms.push_back(split.norm(row));
      const auto place = split.at(row);
      for (auto& [name, numbers] : part.attributes) numbers.push_back(place.shard->attribute(place.row, name));
    }
  }
  return part;
}

}  // namespace plumbline
