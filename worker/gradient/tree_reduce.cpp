#include "worker/gradient/tree_reduce.hpp"

#include <algorithm>
#include <numeric>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

int middle(LaneRange node) { return (node.begin + node.end) / 2; }

void collect(LaneRange node, LaneRange range, std::vector<LaneRange>& out) {
  if (node.end <= range.begin || range.end <= node.begin) return;
  if (range.begin <= node.begin && node.end <= range.end) {
    out.push_back(node);
    return;
  }
  collect({node.begin, middle(node)}, range, out);
  collect({middle(node), node.end}, range, out);
}

/// Calls `visit` for the inner nodes within `range`, children before their parent.
template <class Visit>
void visit_inner(LaneRange node, LaneRange range, const Visit& visit) {
  if (node.end - node.begin < 2 || node.end <= range.begin || range.end <= node.begin) return;
  visit_inner({node.begin, middle(node)}, range, visit);
  visit_inner({middle(node), node.end}, range, visit);
  if (range.begin <= node.begin && node.end <= range.end) visit(node);
}

constexpr std::int64_t kChunkAlign = 16;  // elements: chunks begin on 64-byte boundaries

}  // namespace

std::vector<LaneRange> subtrees_of(LaneRange range, int lanes) {
  std::vector<LaneRange> subtrees;
  if (lanes > 0 && range.begin < range.end) collect({0, lanes}, range, subtrees);
  return subtrees;
}

LaneAccumulator::LaneAccumulator(LaneRange range, int lanes, std::int64_t elements, at::TensorOptions options)
    : range_(range),
      elements_(elements),
      options_(options),
      folds_after_(static_cast<std::size_t>(std::max(0, range.end - range.begin)), 0),
      num_partials_(subtrees_of(range, lanes).size()) {
  PLUMBLINE_CHECK(range.begin >= 0 && range.end <= lanes, "the lanes lie outside the tree");
  visit_inner({0, lanes}, range,
              [&](LaneRange node) { ++folds_after_[static_cast<std::size_t>(node.end - 1 - range.begin)]; });
}

at::Tensor LaneAccumulator::take_buffer() {
  if (free_.empty()) return at::zeros({elements_}, options_);
  at::Tensor buffer = std::move(free_.back());
  free_.pop_back();
  return buffer.zero_();
}

at::Tensor& LaneAccumulator::next_lane() {
  PLUMBLINE_CHECK(!current_.defined() && lanes_done_ < folds_after_.size(), "there is no next lane");
  const at::NoGradGuard no_grad;
  current_ = take_buffer();
  return current_;
}

void LaneAccumulator::finish_lane() {
  PLUMBLINE_CHECK(current_.defined(), "no lane was begun");
  const at::NoGradGuard no_grad;
  stack_.push_back(std::move(current_));
  current_ = at::Tensor();
  for (int i = 0; i < folds_after_[lanes_done_]; ++i) {
    at::Tensor right = std::move(stack_.back());
    stack_.pop_back();
    stack_.back().add_(right);
    free_.push_back(std::move(right));
  }
  ++lanes_done_;
}

const std::vector<at::Tensor>& LaneAccumulator::partials() const {
  PLUMBLINE_CHECK(lanes_done_ == folds_after_.size() && stack_.size() == num_partials_, "a lane is missing");
  return stack_;
}

void LaneAccumulator::reset() {
  for (auto& buffer : stack_) free_.push_back(std::move(buffer));
  if (current_.defined()) free_.push_back(std::move(current_));
  stack_.clear();
  current_ = at::Tensor();
  lanes_done_ = 0;
}

TreeReducer::TreeReducer(Collective& collective, const LaneShares& shares, std::int64_t elements,
                         at::TensorOptions options)
    : collective_(collective), lanes_(std::accumulate(shares.begin(), shares.end(), 0)) {
  PLUMBLINE_CHECK(std::ssize(shares) == collective.size(), "not every rank has a share of the lanes");
  const int size = collective.size();
  const std::int64_t blocks = (elements + kChunkAlign - 1) / kChunkAlign;
  for (int rank = 0; rank < size; ++rank) {
    const std::int64_t begin = std::min(elements, blocks * rank / size * kChunkAlign),
                       end = std::min(elements, blocks * (rank + 1) / size * kChunkAlign);
    chunk_offsets_.push_back(begin);
    chunk_sizes_.push_back(end - begin);
  }
  const std::int64_t mine = chunk_sizes_[static_cast<std::size_t>(collective.rank())];
  // Each piece starts aligned, so that the sum's bits cannot depend on where a piece lies.
  const std::int64_t stride = (mine + kChunkAlign - 1) / kChunkAlign * kChunkAlign;
  for (int rank = 0; rank < size; ++rank) {
    const auto subtrees = subtrees_of(lanes_of(rank, shares), lanes_);
    for (std::size_t i = 0; i < subtrees.size(); ++i)
      pieces_.push_back({subtrees[i], rank, i, static_cast<std::int64_t>(pieces_.size()) * stride});
    rounds_ = std::max(rounds_, subtrees.size());
  }
  nothing_ = at::zeros({0}, options);
  if (size > 1) received_ = at::zeros({static_cast<std::int64_t>(pieces_.size()) * stride}, options);
}

at::Tensor TreeReducer::received(const Piece& piece) {
  return received_.narrow(0, piece.offset, chunk_sizes_[static_cast<std::size_t>(collective_.rank())]);
}

at::Tensor TreeReducer::sum_of(LaneRange node) {
  const auto piece = std::lower_bound(pieces_.begin(), pieces_.end(), node.begin,
                                      [](const Piece& p, int lane) { return p.lanes.begin < lane; });
  if (piece != pieces_.end() && piece->lanes.begin == node.begin && piece->lanes.end == node.end)
    return received(*piece);
  const at::Tensor left = sum_of({node.begin, middle(node)});
  return left.add_(sum_of({middle(node), node.end}));
}

Status TreeReducer::reduce(const std::vector<at::Tensor>& partials, at::Tensor& result) {
  const at::NoGradGuard no_grad;
  const auto size = static_cast<std::size_t>(collective_.size());
  const auto rank = static_cast<std::size_t>(collective_.rank());
  if (size == 1) {  // The one subtree is the tree.
    PLUMBLINE_CHECK(partials.size() == 1, "one rank holds the whole tree");
    result.copy_(partials[0]);
    return {};
  }
  // Round i moves every rank's i-th partial, straight from its buffer.
  for (std::size_t round = 0; round < rounds_; ++round) {
    Counts send_counts(size, 0), recv_counts(size, 0), recv_offsets(size, 0);
    if (round < partials.size()) send_counts = chunk_sizes_;
    for (const Piece& piece : pieces_) {
      if (piece.index != round) continue;
      recv_counts[static_cast<std::size_t>(piece.holder)] = chunk_sizes_[rank];
      recv_offsets[static_cast<std::size_t>(piece.holder)] = piece.offset;
    }
    PLUMBLINE_TRY(collective_.all_to_all(round < partials.size() ? partials[round] : nothing_, send_counts,
                                         chunk_offsets_, received_, recv_counts, recv_offsets));
  }
  if (chunk_sizes_[rank] > 0) {
    at::Tensor mine = result.narrow(0, chunk_offsets_[rank], chunk_sizes_[rank]);
    if (pieces_.size() == 1) {
      mine.copy_(received(pieces_[0]));
    } else {  // The root's addition writes straight into the result.
      const LaneRange root{0, lanes_};
      const at::Tensor left = sum_of({root.begin, middle(root)}), right = sum_of({middle(root), root.end});
      at::add_out(mine, left, right);
    }
  }
  return collective_.all_gather(result, chunk_sizes_, chunk_offsets_);
}

}  // namespace plumbline
