// As common/pch.hpp, for the tests.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/pch.hpp"
