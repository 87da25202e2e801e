// Runs a fuzz target without libFuzzer: over every file of its corpus, and over a fixed number of mutations of each.
// The mutations are drawn from the file's own bytes, so a failure repeats; the input that was running when the program
// died is in the file that the last line names.
//
//   NAME_fuzz CORPUS [MUTATIONS]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr int kDefaultMutations = 400;

Bytes read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::uint64_t fnv1a(const Bytes& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

/// One to four small changes: what a broken disk, a cut transfer or a careless editor does to a file.
Bytes mutate(Bytes bytes, const Bytes& other, std::mt19937_64& random) {
  const auto below = [&random](std::size_t bound) {
    return bound == 0 ? 0 : static_cast<std::size_t>(random() % bound);
  };
  const auto at = [&](std::size_t offset) { return bytes.begin() + static_cast<std::ptrdiff_t>(offset); };
  for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
    const std::size_t offset = below(bytes.size());
    const std::size_t length = std::min(1 + below(32), bytes.size() - offset);
    switch (below(7)) {
      case 0:  // a flipped bit
        if (!bytes.empty()) bytes[offset] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 1:  // an extreme value, where a length or a count may stand
        if (!bytes.empty()) bytes[offset] = below(2) == 0 ? 0x00 : 0xff;
        break;
      case 2:  // cut off
        bytes.resize(offset);
        break;
      case 3:  // a piece missing
        bytes.erase(at(offset), at(offset + length));
        break;
      case 4: {  // a piece twice
        const Bytes piece(at(offset), at(offset + length));
        bytes.insert(at(offset), piece.begin(), piece.end());
        break;
      }
      case 5:  // a byte too many
        bytes.insert(at(offset), static_cast<std::uint8_t>(below(256)));
        break;
      default: {  // the head of this, the tail of another
        const std::size_t from = below(other.size());
        bytes.resize(offset);
        bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
      }
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS [MUTATIONS]\n", argv[0]);
    return 2;
  }
  const int mutations = argc > 2 ? std::atoi(argv[2]) : kDefaultMutations;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(argv[1]))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::fprintf(stderr, "%s holds no seed\n", argv[1]);
    return 1;
  }

  const fs::path running = fs::path(argv[0]).string() + ".input";
  const auto run = [&running](const Bytes& bytes) {
    std::ofstream(running, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  };
  std::vector<Bytes> seeds;
  for (const fs::path& file : files) seeds.push_back(read(file));
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    std::printf("%s, %d mutations; the input being run is in %s\n", files[i].c_str(), mutations, running.c_str());
    std::fflush(stdout);
    run(seeds[i]);
    std::mt19937_64 random(fnv1a(seeds[i]));
    for (int m = 0; m < mutations; ++m) run(mutate(seeds[i], seeds[(i + 1) % seeds.size()], random));
  }
  run({});
  fs::remove(running);
  return 0;
}
