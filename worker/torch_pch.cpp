#include "worker/torch_pch.hpp"
