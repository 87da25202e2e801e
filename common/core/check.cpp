#include "common/core/check.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace plumbline {

namespace {
std::atomic<int> check_rank{-1};
}  // namespace

void set_check_rank(int rank) { check_rank = rank; }

void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  const int rank = check_rank;
  const std::string who = rank < 0 ? std::string() : "rank " + std::to_string(rank) + ": ";
  // One call, so that the lines of several ranks do not mix.
  std::fprintf(stderr, "%s%s:%d: check failed: %s: %s\n", who.c_str(), file, line, condition, message.c_str());
  std::abort();
}

}  // namespace plumbline
