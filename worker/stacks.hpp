// The stacks of all threads of this process, for the coordinator that is about to give a hung worker up.
#pragma once
#include <filesystem>
#include <string>

#include "common/core/result.hpp"

namespace plumbline {

/// Before any other thread is started: SIGUSR2 becomes the question that each thread answers with its stack.
void prepare_for_stacks();

/// Asks every other thread of this process and writes what they answer, after `heading`. A thread that does not answer
/// within half a second is named with what the kernel says of it. An environment error when the file cannot be written.
Status write_stacks(const std::filesystem::path& file, const std::string& heading);

}  // namespace plumbline
