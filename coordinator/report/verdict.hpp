// What the numbers of summary.json mean, in plain sentences. They claim a change only where the 95% interval of the
// paired difference excludes zero, and say so where it does not. Pure.
#pragma once
#include <string>

#include "common/core/json.hpp"

namespace plumbline {

enum class Change { kLower, kHigher, kUnclear, kUnknown };
/// Of a difference with its 95% interval [low, high].
Change change_of(const Json& interval);

/// One sentence on one norm (the object under "norms"/NAME).
std::string norm_verdict(const std::string& name, const Json& norm);
/// One sentence on the whole run.
std::string run_verdict(const Json& summary);

}  // namespace plumbline
