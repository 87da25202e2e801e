// libtorch's headers, and the heaviest of the others that nearly every worker file includes, compiled once for all
// worker rooms.
#pragma once
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <boost/system/result.hpp>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
