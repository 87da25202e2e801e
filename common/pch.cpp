#include "common/pch.hpp"
