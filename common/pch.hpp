// The heaviest headers that nearly every room includes, compiled once. Sources still include what they use.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <boost/system/result.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
