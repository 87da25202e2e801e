// What the numbers of summary.json mean, in plain sentences: what was taught, how often outputs broke it before and
// after, what that cost in score, and what the norm's rules do without any training. They claim a change only where the
// 95% interval of the paired difference excludes zero, and say so where it does not. Pure.
#pragma once
#include <string>

#include "common/core/json.hpp"

namespace plumbline {

enum class Change { kLower, kHigher, kUnclear, kUnknown };
/// Of a difference with its 95% interval [low, high].
Change change_of(const Json& interval);

/// A few sentences on one norm (the object under "norms"/NAME).
std::string norm_verdict(const std::string& name, const Json& norm);
/// On the whole run: the norm's own sentences where there is one, else a sentence that names each.
std::string run_verdict(const Json& summary);

}  // namespace plumbline
