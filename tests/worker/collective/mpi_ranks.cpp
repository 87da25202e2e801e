// One rank of a group that mpirun starts: the collective contract between processes, and the sum along the tree.
#include <cstdio>
#include <cstdlib>

#include "tests/worker/collective/contract.hpp"
#include "tests/worker/gradient/crafted.hpp"
#include "worker/collective/mpi_session.hpp"

int main() {
  using namespace plumbline;
  const auto place = initialize_mpi();
  if (place.has_error()) return std::fprintf(stderr, "%s\n", to_string(place.error()).c_str()), 1;
  const auto collective = make_mpi_collective();
  at::set_num_threads(1);
  std::string broken;
  for (const auto dtype : {at::kFloat, at::kDouble}) broken += broken_contract(*collective, dtype);
  for (const int lanes : {12, 7}) {
    const auto sum = reduced(*collective, lanes, 100'003);
    if (sum.has_error() || !sum.value().equal(tree_sum(lanes, 100'003))) broken += "the sum is not the tree's";
  }
  if (!broken.empty()) {
    std::fprintf(stderr, "rank %d: %s\n", collective->rank(), broken.c_str());
    std::_Exit(1);
  }
  return finalize_mpi().has_error() ? 1 : 0;
}
