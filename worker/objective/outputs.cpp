#include "worker/objective/outputs.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace plumbline {

namespace {

/// log p(target) of each position. The gradient, (onehot - softmax) g, is made from the kept log-probs in place of the
/// two nodes and the zero-filled matrix that log_softmax and gather would need.
struct TokenLogProbs : torch::autograd::Function<TokenLogProbs> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& logits_PV,
                            const at::Tensor& target_P) {
    const at::Tensor log_probs = at::log_softmax(logits_PV, -1);
    const at::Tensor index = target_P.unsqueeze(1);
    ctx->save_for_backward({log_probs, index});
    return log_probs.gather(1, index).squeeze(1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor g = grads[0].unsqueeze(1);
    at::Tensor dlogits = saved[0].exp().mul_(-g);
    dlogits.scatter_(1, saved[1],
                     dlogits.gather(1, saved[1]) + g);  // One index a row: no addition whose order could vary.
    return {dlogits, at::Tensor()};
  }
};

/// -log(1 - p(target)) of each position, exact for p near 1: the log-sum-exp over all other tokens is kept as it is.
at::Tensor token_unlikelihoods(const at::Tensor& logits_PV, const at::Tensor& target_P) {
  const at::Tensor log_probs = at::log_softmax(logits_PV, -1);
  const at::Tensor others = log_probs.scatter(1, target_P.unsqueeze(1), -std::numeric_limits<float>::infinity());
  return -at::logsumexp(others, {1});
}

/// The used rows of both sides, each padded with `fill` to the longer: [R,T].
at::Tensor join(const at::Tensor& desired, const at::Tensor& undesired, const UsedRows& used, std::int64_t fill) {
  std::vector<at::Tensor> parts;
  std::int64_t longest = 0;
  const auto take = [&](const at::Tensor& side, const std::vector<std::int64_t>& rows) {
    if (rows.empty()) return;
    const bool all = static_cast<std::int64_t>(rows.size()) == side.size(0);
    parts.push_back(all ? side : side.index_select(0, at::tensor(rows, at::kLong).to(side.device())));
    longest = std::max(longest, side.size(1));
  };
  take(desired, used.desired);
  take(undesired, used.undesired);
  for (at::Tensor& part : parts)
    if (part.size(1) < longest)
      part = at::constant_pad_nd(part, {0, longest - part.size(1)}, static_cast<double>(fill));
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

bool is_identity(const std::vector<std::int64_t>& rows, std::int64_t size) {
  if (static_cast<std::int64_t>(rows.size()) != size) return false;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] != static_cast<std::int64_t>(i)) return false;
  return true;
}

}  // namespace

ScoredOutputs score_outputs(const T5& model, const Batch& batch, const UsedRows& used, Unlikelihood unlikelihood,
                            std::optional<DropoutKey> dropout) {
  const at::Tensor input_RT = join(batch.desired.input_RT, batch.undesired.input_RT, used, 0);
  const at::Tensor labels_TR = join(batch.desired.labels_RT, batch.undesired.labels_RT, used, -100).t().contiguous();
  const std::int64_t T = labels_TR.size(0), R = labels_TR.size(1);
  std::vector<std::int64_t> source_row;
  for (const auto r : used.desired) source_row.push_back(batch.desired.batch_row[static_cast<std::size_t>(r)]);
  for (const auto r : used.undesired) source_row.push_back(batch.undesired.batch_row[static_cast<std::size_t>(r)]);

  const at::Tensor memory = model.encode(batch.source_BS, batch.source_mask_BS, dropout);
  const at::Tensor states = is_identity(source_row, batch.source_BS.size(0))
                                ? model.decode(input_RT, memory, batch.source_mask_BS, dropout)
                                : model.decode_rows(input_RT, memory, batch.source_mask_BS,
                                                    at::tensor(source_row, at::kLong).to(input_RT.device()), dropout);

  // The head and the soft-max see the label positions only, time-major as the states lie in memory.
  const at::Tensor flat_labels = labels_TR.view({-1});
  const at::Tensor position_P = flat_labels.ge(0).nonzero().squeeze(1);
  const at::Tensor target_P = flat_labels.index_select(0, position_P);
  const at::Tensor states_ND = states.transpose(0, 1).reshape({T * R, -1});
  const at::Tensor logits_PV = model.logits(at::embedding(states_ND, position_P));
  const auto row_sums = [&](const at::Tensor& value_P,
                            const at::Tensor& at_P) {  // A dense sum: the same order on every device.
    return at::zeros({T * R}, value_P.options().dtype(at::kDouble))
        .scatter(0, at_P, value_P.to(at::kDouble))
        .view({T, R})
        .sum(0);
  };
  ScoredOutputs result;
  result.log_prob_R = row_sums(TokenLogProbs::apply(logits_PV, target_P), position_P);
  if (unlikelihood == Unlikelihood::kCompute) {
    const auto first_undesired = static_cast<std::int64_t>(used.desired.size());
    const at::Tensor chosen = at::remainder(position_P, R).ge(first_undesired).nonzero().squeeze(1);
    result.unlikely_R =
        row_sums(token_unlikelihoods(at::embedding(logits_PV, chosen), target_P.index_select(0, chosen)),
                 position_P.index_select(0, chosen));
  }
  return result;
}

}  // namespace plumbline
