// Files that are either whole or absent. Every function returns an Error that names the path and the system's reason.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace plumbline {

/// The whole file as bytes. `max_bytes` bounds memory; a larger file is a data error.
Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t max_bytes = 1ull << 30);

/// Write beside, fsync, rename over `path`, fsync the directory. On error `path` is as it was before.
Status write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// A new file that only its owner may read (mode 0600), on the disk when this returns. A usage error when it exists.
Status write_private_file(const std::filesystem::path& path, std::string_view bytes);

/// Appends `line` and a newline in one write, making the file when absent. A last line that a crash left without its
/// newline is cut off first, so the file only ever gains whole lines. One writer at a time; not fsynced.
Status append_line(const std::filesystem::path& path, std::string_view line);

/// fsync a file or directory that exists.
Status fsync_path(const std::filesystem::path& path);

/// Lower-case hex SHA-256 (64 characters).
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view bytes);
/// Streams the file; memory use does not depend on its size.
Result<std::string> sha256_file(const std::filesystem::path& path);

/// HMAC-SHA256(key, message), raw 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view message);
/// `n` bytes from the system's random source.
std::string random_bytes(std::size_t n);
std::string to_hex(std::string_view bytes);

/// What we accept from files and peers. Hex is lower case; a file name has no '/'; an inner path is relative, clean
/// ("evaluation/step-7.jsonl") and stays inside its folder.
bool is_hex(std::string_view text, std::size_t min_digits, std::size_t max_digits);
bool is_file_name(std::string_view name);
bool is_inner_path(std::string_view path);

}  // namespace plumbline
