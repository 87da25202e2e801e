// What every collective must do, as a check that any backend's ranks can run together.
#pragma once
#include <numeric>
#include <string>

#include "worker/collective/collective.hpp"

namespace plumbline {

/// The value that `from` has for `to` at place `i`.
inline double value_of(int from, int to, std::int64_t i) { return 1000.0 * from + 10.0 * to + static_cast<double>(i); }

/// An empty string when `collective` keeps its contract with tensors on `device`, else what broke. Uneven sizes, zero
/// among them.
inline std::string broken_contract(Collective& collective, at::ScalarType dtype, at::Device device = at::kCPU) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  const int me = collective.rank(), size = collective.size();
  const auto n = static_cast<std::size_t>(size);
  const auto count_between = [](int from, int to) -> std::int64_t { return (from + 2 * to) % 4; };

  std::vector<std::int64_t> send_counts(n), send_offsets(n), recv_counts(n), recv_offsets(n);
  std::int64_t sends = 3, receives = 2;  // pieces do not start at 0
  for (int p = 0; p < size; ++p) {
    const auto i = static_cast<std::size_t>(p);
    send_counts[i] = count_between(me, p), send_offsets[i] = sends, sends += send_counts[i] + 1;
    recv_counts[i] = count_between(p, me), recv_offsets[i] = receives, receives += recv_counts[i] + 1;
  }
  at::Tensor send = at::zeros({sends}, options), recv = at::full({receives}, -1, options);
  at::Tensor expected = recv.clone();
  for (int p = 0; p < size; ++p)
    for (std::int64_t i = 0; i < 4; ++i) {
      if (i < send_counts[static_cast<std::size_t>(p)])
        send[send_offsets[static_cast<std::size_t>(p)] + i] = value_of(me, p, i);
      if (i < recv_counts[static_cast<std::size_t>(p)])
        expected[recv_offsets[static_cast<std::size_t>(p)] + i] = value_of(p, me, i);
    }
  if (collective.all_to_all(send, send_counts, send_offsets, recv, recv_counts, recv_offsets).has_error())
    return "all_to_all failed";
  if (!recv.equal(expected)) return "all_to_all moved something else";

  std::vector<std::int64_t> counts(n), offsets(n);
  for (std::size_t p = 0; p < n; ++p) counts[p] = static_cast<std::int64_t>(p * 3 % 5);
  std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), std::int64_t{0});
  const std::int64_t total = offsets.back() + counts.back();
  at::Tensor all = at::arange(total, options), mine = at::full({total}, -1, options);
  const auto r = static_cast<std::size_t>(me);
  mine.narrow(0, offsets[r], counts[r]).copy_(all.narrow(0, offsets[r], counts[r]));
  if (size == 1) mine.copy_(all);
  if (collective.all_gather(mine, counts, offsets).has_error()) return "all_gather failed";
  if (!mine.equal(all)) return "all_gather moved something else";

  for (const int root : {0, size - 1}) {
    at::Tensor buffer = at::full({257}, me, options);
    if (collective.broadcast(buffer, root).has_error()) return "broadcast failed";
    if (!buffer.equal(at::full({257}, root, options))) return "broadcast moved something else";
  }

  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank % 3) * 100, 'a' + static_cast<char>(rank));
  };
  const auto texts = collective.all_gather_bytes(text_of(me));
  if (texts.has_error() || texts.value().size() != n) return "all_gather_bytes failed";
  for (int p = 0; p < size; ++p)
    if (texts.value()[static_cast<std::size_t>(p)] != text_of(p)) return "all_gather_bytes moved something else";

  return collective.barrier().has_error() ? "barrier failed" : "";
}

}  // namespace plumbline
