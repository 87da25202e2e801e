#include "worker/model/sublayers.hpp"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace plumbline::layers {

namespace {

using Tensors = std::vector<at::Tensor>;
using Backward = std::function<Tensors(const at::Tensor& gradient)>;

/// A node whose backward pass is a function. What it captures is released once it has run.
class RecordedNode : public torch::autograd::Node {
 public:
  explicit RecordedNode(Backward backward) : backward_(std::move(backward)) {}
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const at::AutoDispatchBelowADInplaceOrView below;
    return backward_(gradients.at(0).contiguous());
  }
  void release_variables() override { backward_ = nullptr; }

 private:
  Backward backward_;
};

bool is_recording(std::initializer_list<at::Tensor> inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& input : inputs)
    if (input.defined() && input.requires_grad()) return true;
  return false;
}

/// `output` as a function of `inputs`: `backward` gives their gradients, in their order.
at::Tensor record(std::initializer_list<at::Tensor> inputs, at::Tensor output, Backward backward) {
  auto node = std::shared_ptr<RecordedNode>(new RecordedNode(std::move(backward)), torch::autograd::deleteNode);
  torch::autograd::edge_list edges;
  for (const at::Tensor& input : inputs)
    edges.push_back(input.defined() ? torch::autograd::impl::gradient_edge(input) : torch::autograd::Edge());
  node->set_next_edges(std::move(edges));
  torch::autograd::set_history(output, node);
  return output;
}

/// The norm before a sublayer.
struct Norm {
  at::Tensor weight;  ///< leaf
  double epsilon;
  at::ScalarType type;

  [[nodiscard]] passes::Normed operator()(const at::Tensor& x) const {
    return passes::rms_norm(x, weight, epsilon, type);
  }
  [[nodiscard]] at::Tensor backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& inverse,
                                    const at::Tensor& residual) const {
    at::Tensor none;
    return passes::rms_norm_backward(dy, x, weight, inverse, residual,
                                     weight.requires_grad() ? gradient_of(weight) : none);
  }
};

/// The gradient as it enters a sublayer's last product: masked as the forward pass was, in the products' type.
at::Tensor masked(const at::Tensor& gradient, const DropoutMask& mask, at::ScalarType type) {
  if (!mask.active()) return gradient.to(type);
  at::Tensor dropped = type == gradient.scalar_type() ? gradient.clone() : gradient.to(type);
  mask.apply_(dropped);
  return dropped;
}

/// residual + dropout(x W^T).
at::Tensor onto(const at::Tensor& residual, const at::Tensor& x, const Projection& projection,
                const DropoutMask& mask) {
  if (!mask.active()) return projection.forward_onto(residual, x);
  at::Tensor y = projection.forward(x);
  mask.apply_(y);
  return passes::add(residual, y);
}

/// What a sublayer computed on its way forward, for its way back: kept until the gradient comes, or computed anew.
template <class State>
class Kept {
 public:
  Kept(const Pass& pass, std::function<State()> compute) : compute_(std::move(compute)), keep_(!pass.recompute) {}
  /// On the way forward; `recording` says whether there will be a way back.
  State forward(bool recording) {
    State state = compute_();
    if (recording && keep_) *kept_ = state;
    return state;
  }
  /// On the way back, which may overwrite it.
  [[nodiscard]] State backward() const { return *kept_ ? *std::exchange(*kept_, std::nullopt) : compute_(); }

 private:
  std::function<State()> compute_;
  bool keep_;
  std::shared_ptr<std::optional<State>> kept_ = std::make_shared<std::optional<State>>();
};

AttentionWeights dropping(const AttentionWeights& w, Dropout& dropout) {
  return {w.q.dropping(dropout), w.k.dropping(dropout), w.v.dropping(dropout), w.o.dropping(dropout)};
}

FeedForwardWeights dropping(const FeedForwardWeights& w, Dropout& dropout) {
  return {w.activation, w.wi_0.dropping(dropout), w.wi_1.dropping(dropout), w.wo.dropping(dropout)};
}

/// Attention between heads. q of T x B and k, v of S x B are time-major [N,H*K]; no scaling (T5).
struct Attention {
  std::int64_t batch, heads;  ///< B*H, H
  passes::ScoreTerms terms;
  DropoutMask mask;

  struct State {
    at::Tensor q, k, v;
    at::Tensor weights;  ///< [B*H,T,S], before dropout
    at::Tensor context;  ///< [N,H*K]
  };
  struct Gradients {
    at::Tensor q, k, v;
  };

  [[nodiscard]] at::Tensor split(const at::Tensor& x) const {  // -> a view [B*H,T,K]
    return x.view({-1, batch, x.size(1) / heads}).transpose(0, 1);
  }
  [[nodiscard]] at::Tensor merge(const at::Tensor& x) const {  // [B*H,T,K] -> [T*B,H*K]
    return x.transpose(0, 1).reshape({-1, heads * x.size(2)});
  }
  [[nodiscard]] at::Tensor dropped(const at::Tensor& weights) const {
    if (!mask.active()) return weights;
    at::Tensor result = weights.clone();
    mask.apply_(result);
    return result;
  }

  [[nodiscard]] State forward(at::Tensor q, at::Tensor k, at::Tensor v) const {
    at::Tensor scores = at::bmm(split(q), split(k).transpose(1, 2));
    passes::softmax_(scores, terms, heads);
    at::Tensor context = merge(at::bmm(dropped(scores), split(v)));
    return {std::move(q), std::move(k), std::move(v), std::move(scores), std::move(context)};
  }
  /// The scores' gradient, summed over rows, is added to dbias_HTS if that is defined.
  [[nodiscard]] Gradients backward(const State& s, const at::Tensor& dcontext, at::Tensor& dbias) const {
    const at::Tensor dc = split(dcontext);
    Gradients gradients;
    gradients.v = merge(at::bmm(dropped(s.weights).transpose(1, 2), dc));
    at::Tensor ds = at::bmm(dc, split(s.v).transpose(1, 2));
    mask.apply_(ds);
    passes::softmax_backward_(ds, s.weights, heads, dbias);
    gradients.q = merge(at::bmm(ds, split(s.k)));
    gradients.k = merge(at::bmm(ds.transpose(1, 2), split(s.q)));
    return gradients;
  }
};

struct AttentionState {
  passes::Normed normed;
  Attention::State heads;
};

struct FeedForwardState {
  passes::Normed normed;
  at::Tensor a, b, hidden;  ///< before the activation; the gate, if any; what goes into the last product
};

}  // namespace

at::Tensor embed(const at::Tensor& tokens, const Projection& embedding, Pass& pass) {
  const at::Tensor& weight = embedding.master();
  const DropoutMask mask = pass.dropout.next();
  at::Tensor x;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    x = at::embedding(weight, tokens);
    mask.apply_(x);
  }
  if (!is_recording({weight})) return at::GradMode::is_enabled() ? x.requires_grad_(true) : x;
  return record({weight}, x, [=](const at::Tensor& gradient) -> Tensors {
    gradient_of(weight).index_add_(0, tokens, masked(gradient, mask, at::kFloat));
    return {at::Tensor()};
  });
}

at::Tensor self_attention(const at::Tensor& x, const Block& block, const at::Tensor& bias, const at::Tensor& mask_BT,
                          Pass& pass) {
  const AttentionWeights w = dropping(block.self, pass.adapter_dropout);
  const Norm norm{block.self_norm, pass.epsilon, pass.type};
  const Attention attention{pass.rows * pass.heads, pass.heads, {bias.detach(), mask_BT}, pass.dropout.next()};
  const DropoutMask mask = pass.dropout.next();
  const bool recording = is_recording({x, bias});
  Kept<AttentionState> kept(pass, [=, x = x.detach()] {
    const passes::Normed normed = norm(x);
    return AttentionState{normed,
                          attention.forward(w.q.forward(normed.y), w.k.forward(normed.y), w.v.forward(normed.y))};
  });
  at::Tensor y;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    y = onto(x, kept.forward(recording).heads.context, w.o, mask);
  }
  if (!recording) return y;
  return record(
      {x, bias}, y,
      [=, x = x.detach(), type = pass.type, learns_bias = bias.requires_grad()](const at::Tensor& gradient) -> Tensors {
        const AttentionState s = kept.backward();
        at::Tensor dbias = learns_bias ? at::zeros_like(attention.terms.bias_HTS) : at::Tensor();
        const auto d = attention.backward(s.heads, w.o.backward(masked(gradient, mask, type), s.heads.context), dbias);
        at::Tensor dn = w.q.backward(d.q, s.normed.y);
        dn = w.k.backward(d.k, s.normed.y, dn);
        dn = w.v.backward(d.v, s.normed.y, dn);
        return {norm.backward(dn, x, s.normed.inverse, gradient), dbias};
      });
}

at::Tensor cross_attention(const at::Tensor& x, const Block& block, const Memory& memory, Pass& pass) {
  const AttentionWeights w = dropping(block.cross, pass.adapter_dropout);
  const Norm norm{block.cross_norm, pass.epsilon, pass.type};
  const Attention attention{pass.rows * pass.heads, pass.heads, {{}, memory.mask_RS}, pass.dropout.next()};
  const DropoutMask mask = pass.dropout.next();
  const bool recording = is_recording({x, memory.states_MD});
  const at::Tensor states = memory.states_MD.detach(), gather = memory.gather;
  Kept<AttentionState> kept(pass, [=, x = x.detach()] {
    const passes::Normed normed = norm(x);
    const auto of_rows = [&](at::Tensor y) { return gather.defined() ? y.index_select(0, gather) : y; };
    return AttentionState{
        normed, attention.forward(w.q.forward(normed.y), of_rows(w.k.forward(states)), of_rows(w.v.forward(states)))};
  });
  at::Tensor y;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    y = onto(x, kept.forward(recording).heads.context, w.o, mask);
  }
  if (!recording) return y;
  return record({x, memory.states_MD}, y, [=, x = x.detach(), type = pass.type](const at::Tensor& gradient) -> Tensors {
    const AttentionState s = kept.backward();
    at::Tensor none;
    const auto d = attention.backward(s.heads, w.o.backward(masked(gradient, mask, type), s.heads.context), none);
    // Output rows of one source add up at its keys.
    const auto of_sources = [&](const at::Tensor& dy) {
      return gather.defined() ? at::embedding_dense_backward(dy, gather, states.size(0), -1, false) : dy;
    };
    const at::Tensor dstates = w.v.backward(of_sources(d.v), states, w.k.backward(of_sources(d.k), states));
    return {norm.backward(w.q.backward(d.q, s.normed.y), x, s.normed.inverse, gradient), dstates};
  });
}

at::Tensor feed_forward(const at::Tensor& x, const Block& block, Pass& pass) {
  const FeedForwardWeights w = dropping(block.ff, pass.adapter_dropout);
  const Norm norm{block.ff_norm, pass.epsilon, pass.type};
  const DropoutMask hidden_mask = pass.dropout.next(), mask = pass.dropout.next();
  const bool recording = is_recording({x});
  Kept<FeedForwardState> kept(pass, [=, x = x.detach()] {
    FeedForwardState s;
    s.normed = norm(x);
    s.a = w.wi_0.forward(s.normed.y);
    if (w.wi_1.defined()) s.b = w.wi_1.forward(s.normed.y);
    s.hidden = passes::activate(s.a, s.b, w.activation);
    hidden_mask.apply_(s.hidden);
    return s;
  });
  at::Tensor y;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    y = onto(x, kept.forward(recording).hidden, w.wo, mask);
  }
  if (!recording) return y;
  return record({x}, y, [=, x = x.detach(), type = pass.type](const at::Tensor& gradient) -> Tensors {
    const FeedForwardState s = kept.backward();
    at::Tensor dhidden = w.wo.backward(masked(gradient, mask, type), s.hidden);
    hidden_mask.apply_(dhidden);
    const auto d = passes::activate_backward(dhidden, s.a, s.b, w.activation);
    at::Tensor dn = w.wi_0.backward(d.a, s.normed.y);
    if (d.b.defined()) dn = w.wi_1.backward(d.b, s.normed.y, dn);
    return {norm.backward(dn, x, s.normed.inverse, gradient)};
  });
}

at::Tensor final_norm(const at::Tensor& x, const at::Tensor& weight, Pass& pass) {
  const Norm norm{weight, pass.epsilon, pass.type};
  const DropoutMask mask = pass.dropout.next();
  const bool recording = is_recording({x});
  passes::Normed normed;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    normed = norm(x);
    mask.apply_(normed.y);
  }
  if (!recording) return normed.y;
  return record({x}, normed.y, [=, x = x.detach(), inverse = normed.inverse](const at::Tensor& gradient) -> Tensors {
    return {norm.backward(masked(gradient, mask, gradient.scalar_type()), x, inverse, at::Tensor())};
  });
}

at::Tensor project(const at::Tensor& x, const Projection& projection, double scale) {
  const bool recording = is_recording({x, projection.master()});
  at::Tensor scaled, y;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    scaled = scale == 1 ? x.detach() : at::mul(x, scale);
    y = projection.forward(scaled);
  }
  if (!recording) return y;
  return record({x}, y, [=](const at::Tensor& gradient) -> Tensors {
    at::Tensor dx = projection.backward(gradient, scaled);
    return {scale == 1 ? dx : dx.mul_(scale)};
  });
}

at::Tensor project_log_probs(const at::Tensor& x, const Projection& projection, double scale, const at::Tensor& target,
                             std::int64_t chunk) {
  const std::int64_t P = x.size(0);
  const auto logits_of = [projection](const at::Tensor& rows) { return projection.forward(rows).to(at::kFloat); };
  const bool recording = is_recording({x, projection.master()});
  at::Tensor scaled, log_sum_P, log_prob_P;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    scaled = scale == 1 ? x.detach() : at::mul(x, scale);
    log_sum_P = at::empty({P}, x.options().dtype(at::kFloat));
    log_prob_P = at::empty_like(log_sum_P);
    for (std::int64_t begin = 0; begin < P; begin += chunk) {
      const std::int64_t n = std::min(chunk, P - begin);
      const at::Tensor logits = logits_of(scaled.narrow(0, begin, n));
      const at::Tensor sum = at::logsumexp(logits, {1});
      log_sum_P.narrow(0, begin, n).copy_(sum);
      log_prob_P.narrow(0, begin, n)
          .copy_(logits.gather(1, target.narrow(0, begin, n).unsqueeze(1)).squeeze(1).sub_(sum));
    }
  }
  if (!recording) return log_prob_P;
  return record({x}, log_prob_P, [=, type = x.scalar_type()](const at::Tensor& gradient) -> Tensors {
    at::Tensor dx = at::empty_like(scaled);
    for (std::int64_t begin = 0; begin < P; begin += chunk) {
      const std::int64_t n = std::min(chunk, P - begin);
      const at::Tensor rows = scaled.narrow(0, begin, n), index = target.narrow(0, begin, n).unsqueeze(1);
      const at::Tensor g = gradient.narrow(0, begin, n).unsqueeze(1);
      // (onehot - softmax) g; one index a row, so there is no addition whose order could vary.
      at::Tensor dlogits = logits_of(rows).sub_(log_sum_P.narrow(0, begin, n).unsqueeze(1)).exp_().mul_(-g);
      dlogits.scatter_(1, index, dlogits.gather(1, index) + g);
      dx.narrow(0, begin, n).copy_(projection.backward(dlogits.to(type), rows));
    }
    return {scale == 1 ? dx : dx.mul_(scale)};
  });
}

}  // namespace plumbline::layers
