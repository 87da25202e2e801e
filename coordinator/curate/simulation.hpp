// Runs simulated evolution: simulate.py under a Python that has msasim, as a child process.
// The Python is $PLUMBLINE_PYTHON, else $PLUMBLINE_VENV/bin/python, else .venv/bin/python of the project's folder
// ($PLUMBLINE_HOME, else where this build's sources lie).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "coordinator/curate/recipe.hpp"

namespace plumbline {

/// simulate.py's parameters.
Json simulation_parameters(const SimulateFormat& format, std::uint64_t seed);

/// Writes the alignments to `out`, one a line. A Python or an msasim that is missing is an environment error that says
/// how to install it.
Status simulate(const Json& parameters, const std::filesystem::path& out);

}  // namespace plumbline
