// MPI's life in a process: initialised once by main() before any collective is made, finalised after the last one. A
// process that fails leaves without finalising: the launcher then ends the whole group, which no library call could do
// while another rank waits inside MPI. Only mpi.cpp includes mpi.h.
#pragma once
#include <optional>

#include "common/core/result.hpp"

namespace plumbline {

struct MpiPlace {
  int rank = 0, size = 1;
};

/// Where Open MPI's mpirun started this process; nothing when another program did. Does not initialise MPI.
std::optional<MpiPlace> mpirun_place();
/// Calls of MPI will come from one thread only.
Result<MpiPlace> initialize_mpi();
Status finalize_mpi();

}  // namespace plumbline
