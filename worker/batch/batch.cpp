#include "worker/batch/batch.hpp"

#include <algorithm>

#include "common/text/tokenizer.hpp"

namespace plumbline {

namespace {

using Tokens = std::vector<std::int64_t>;

constexpr std::int64_t kIgnoredLabel = -100;

/// `rows` padded with `pad` to the longest, as int64 on the host.
at::Tensor padded(const std::vector<Tokens>& rows, std::int64_t pad) {
  std::size_t longest = 0;
  for (const Tokens& row : rows) longest = std::max(longest, row.size());
  at::Tensor tensor =
      at::full({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(longest)}, pad, at::kLong);
  auto* out = tensor.mutable_data_ptr<std::int64_t>();
  for (const Tokens& row : rows) {
    std::copy(row.begin(), row.end(), out);
    out += longest;
  }
  return tensor;
}

/// Adds batch row b's output.
void add_output(OutputTensors& out, std::vector<Tokens>& labels, std::size_t b, Tokens tokens, std::size_t limit) {
  if (tokens.size() > limit) tokens.resize(limit);
  out.batch_row.push_back(static_cast<std::int64_t>(b));
  out.length.push_back(std::ssize(tokens));
  out.differing.push_back({0, std::ssize(tokens)});
  labels.push_back(std::move(tokens));
}

void finish_outputs(OutputTensors& out, const std::vector<Tokens>& labels, at::Device device) {
  if (labels.empty()) return;
  std::vector<Tokens> inputs;
  for (const Tokens& tokens : labels) {
    inputs.push_back({kPadToken});
    inputs.back().insert(inputs.back().end(), tokens.begin(), tokens.end() - 1);
  }
  out.labels_RT = padded(labels, kIgnoredLabel).to(device);
  out.input_RT = padded(inputs, kPadToken).to(device);
}

OutputTensors output_tensors(const Split& split, const std::vector<std::int64_t>& rows, Side side, std::size_t limit,
                             at::Device device) {
  OutputTensors out;
  std::vector<Tokens> labels;
  for (std::size_t b = 0; b < rows.size(); ++b)
    if (split.length(rows[b], side) > 0) add_output(out, labels, b, split.tokens(rows[b], side), limit);
  finish_outputs(out, labels, device);
  return out;
}

/// For each row with both outputs: where they differ, as they are after cutting.
void mark_differing(const Split& split, const std::vector<std::int64_t>& rows, OutputTensors& desired,
                    OutputTensors& undesired) {
  std::size_t u = 0;
  for (std::size_t d = 0; d < desired.batch_row.size(); ++d) {
    while (u < undesired.batch_row.size() && undesired.batch_row[u] < desired.batch_row[d]) ++u;
    if (u == undesired.batch_row.size()) return;
    if (undesired.batch_row[u] != desired.batch_row[d]) continue;
    const std::int64_t row = rows[static_cast<std::size_t>(desired.batch_row[d])];
    const Tokens d_tokens = split.tokens(row, Side::kDesired), u_tokens = split.tokens(row, Side::kUndesired);
    const auto first = [](const Tokens& tokens, std::int64_t n) {
      return std::span(tokens).first(static_cast<std::size_t>(n));
    };
    const DifferingSpans spans =
        differing_spans(first(d_tokens, desired.length[d]), first(u_tokens, undesired.length[u]));
    desired.differing[d] = spans.desired;
    undesired.differing[u] = spans.undesired;
  }
}

/// The sources of `rows`, without outputs.
Batch sources_of(const Split& split, const std::vector<std::int64_t>& rows, int max_source_tokens, at::Device device) {
  Batch batch;
  batch.rows = rows;
  std::vector<Tokens> sources;
  for (const std::int64_t row : rows) {
    Tokens tokens = split.tokens(row, Side::kSource);
    cut_source(tokens, max_source_tokens);
    sources.push_back(std::move(tokens));
    batch.norm.push_back(split.norm(row));
    batch.kind.push_back(split.kind(row));
    batch.weight.push_back(split.weight(row));
  }
  SourceTensors tensors = source_tensors(sources, device);
  batch.source_BS = std::move(tensors.tokens_BS);
  batch.source_mask_BS = std::move(tensors.mask_BS);
  return batch;
}

}  // namespace

SourceTensors source_tensors(const std::vector<Tokens>& sources, at::Device device) {
  // A mask from lengths, not from ids: a source may hold the pad id.
  const at::Tensor tokens_BS = padded(sources, kPadToken);
  at::Tensor mask_BS = at::zeros(tokens_BS.sizes(), at::kBool);
  bool* is_real = mask_BS.mutable_data_ptr<bool>();
  for (const Tokens& tokens : sources) {
    std::fill_n(is_real, tokens.size(), true);
    is_real += tokens_BS.size(1);
  }
  return {tokens_BS.to(device), mask_BS.to(device)};
}

bool cut_source(Tokens& tokens, int limit) {
  if (std::ssize(tokens) <= limit) return false;
  tokens.erase(tokens.begin(), tokens.end() - limit);
  return true;
}

Batch make_batch(const Split& split, const std::vector<std::int64_t>& rows, int max_source_tokens,
                 int max_output_tokens, at::Device device) {
  Batch batch = sources_of(split, rows, max_source_tokens, device);
  const auto output_limit = static_cast<std::size_t>(max_output_tokens);
  batch.desired = output_tensors(split, rows, Side::kDesired, output_limit, device);
  batch.undesired = output_tensors(split, rows, Side::kUndesired, output_limit, device);
  mark_differing(split, rows, batch.desired, batch.undesired);
  return batch;
}

Batch make_mismatched_batch(const Split& split, const std::vector<std::int64_t>& rows,
                            const std::vector<std::int64_t>& partners, int max_source_tokens, int max_output_tokens,
                            at::Device device) {
  Batch batch = sources_of(split, rows, max_source_tokens, device);
  std::vector<Tokens> labels;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    batch.kind[b] = ExampleKind::kDemonstration;
    const std::int64_t partner = partners.at(static_cast<std::size_t>(rows[b]));
    const Side side = split.length(partner, Side::kDesired) > 0 ? Side::kDesired : Side::kUndesired;
    add_output(batch.desired, labels, b, split.tokens(partner, side), static_cast<std::size_t>(max_output_tokens));
  }
  finish_outputs(batch.desired, labels, device);
  return batch;
}

}  // namespace plumbline
