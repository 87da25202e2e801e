// Beam search for one source, apart from any model: which beams live, which outputs are finished, when the search ends.
// What HF Transformers' generate(num_beams=K, do_sample=False) does for a model with one EOS, so that outputs are the
// same token for token:
//
//   score of a beam  the sum of its tokens' log-probs, fp32
//   candidates       the 2K best continuations (beam, token) of all live beams together. They hold K at least that do
//                    not end, since each beam ends in one way only
//   finished         a candidate that is among the first K and ends in EOS; at the last position each of the first K.
//                    Those K are kept whose score / tokens^length_penalty is highest (the EOS counts, the token that
//                    decoders start from does not)
//   live             the first K candidates that do not end
//   done             K are finished, and the best live beam's score / tokens^length_penalty is no higher than the worst
//                    of them. A heuristic: with a positive penalty a longer output may still rise
//
// Of equals the lower beam comes first, then the lower token, then what finished earlier. Transformers 5 decides `done`
// by the best live beam, as here; Transformers 4 by the best candidate even when it has ended, and so now and then
// searches a step longer.
//
// Pure. The same scores give the same outputs; a BeamSet is used from one thread at a time.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace plumbline {

enum class EarlyStopping {
  kHeuristic,  ///< `done` as above (Transformers: False)
  kAtOnce,     ///< done when K are finished (Transformers: True)
};

struct BeamSearch {
  int beams = 4;
  int max_new_tokens = 256;   ///< EOS included
  double length_penalty = 1;  ///< 0: short outputs are favoured, since each token costs; above 1: long ones
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
};

/// An output with its score, sum of log-probs / tokens^length_penalty.
struct Hypothesis {
  std::vector<std::int32_t> tokens;
  float score = 0;
  bool complete = false;  ///< ended by EOS (included)
};

class BeamSet {
 public:
  struct Beam {
    std::vector<std::int32_t> tokens;
    float score = 0;
    std::int64_t parent = 0;  ///< its place among the beams that lived before
  };

  /// beams and max_new_tokens at least 1. One beam lives, without a token.
  explicit BeamSet(const BeamSearch& search);

  /// K at most, the best first; fewer as long as there are fewer continuations.
  [[nodiscard]] const std::vector<Beam>& live() const { return live_; }
  [[nodiscard]] bool done() const { return done_; }
  /// One token more. log_probs_LV: for each live beam in order, the log-prob of every token. One that is not finite is
  /// passed over; where nothing is left the search is done. Not after done().
  void advance(std::span<const float> log_probs_LV);
  /// The best finished output; empty and not complete when nothing finished. Only when done.
  [[nodiscard]] Hypothesis best() const;

 private:
  struct Candidate {
    float score;
    std::int32_t beam, token;
  };
  static bool comes_before(const Candidate& a, const Candidate& b);
  [[nodiscard]] std::vector<Candidate> candidates_of(std::span<const float> log_probs_LV) const;
  [[nodiscard]] std::vector<std::int32_t> tokens_of(const Candidate& candidate) const;
  [[nodiscard]] float normalized(float score) const;
  void finish(const Candidate& candidate);
  [[nodiscard]] bool none_can_improve() const;

  BeamSearch search_;
  int length_ = 0;  ///< tokens of each live beam
  bool done_ = false;
  std::vector<Beam> live_;
  std::vector<Hypothesis> finished_;  ///< K at most, the best first
};

}  // namespace plumbline
