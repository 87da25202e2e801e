// The collective of an elastic group: every two ranks share one TCP connection, and a rank that dies ends its
// connections within milliseconds. Unlike MPI's group it can be given up and made anew, with other ranks, in the same
// processes: that is what lets survivors keep their weights. The connections are mesh.hpp's; here they move tensors.
#pragma once
#include <memory>

#include "worker/collective/collective.hpp"
#include "worker/collective/mesh.hpp"

namespace plumbline {

/// As Mesh::gather.
Result<std::unique_ptr<Collective>> make_tcp_collective(const MeshPlace& place, const MeshListener& listener,
                                                        const Interrupt& interrupt);

}  // namespace plumbline
