// Damage to files, in place: rewriting a file for every byte would wait for the disk each time.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace plumbline {

/// Inverts every bit of one byte; a second call mends it.
inline void flip_byte(const std::filesystem::path& file, std::size_t place) {
  std::fstream io(file, std::ios::in | std::ios::out | std::ios::binary);
  io.seekg(static_cast<std::streamoff>(place));
  const int byte = io.get();
  ASSERT_TRUE(io.good()) << file << " has no byte " << place;
  io.seekp(static_cast<std::streamoff>(place));
  io.put(static_cast<char>(~byte));
}

}  // namespace plumbline
