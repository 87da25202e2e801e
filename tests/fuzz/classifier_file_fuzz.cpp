// A classifier's file, from bytes. What loads must give a probability. With an even first byte the rest is the file;
// with an odd one the rest is laid over a whole file whose checksum then holds, so that what lies behind it is reached
// too.
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/text/classifier.hpp"

namespace {
constexpr std::size_t kFileBytes = 24 + (1u << 20) + 8;

std::string laid_over_a_whole_file(const std::string& bytes) {
  std::string file(kFileBytes, '\0');
  std::copy_n(bytes.begin(), std::min(bytes.size(), kFileBytes - 8), file.begin());
  const std::uint64_t checksum = XXH3_64bits(file.data(), kFileBytes - 8);
  std::memcpy(file.data() + kFileBytes - 8, &checksum, sizeof checksum);
  return file;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) bytes = laid_over_a_whole_file(bytes);
  static const auto file =
      std::filesystem::temp_directory_path() / ("plumbline-classifier-fuzz." + std::to_string(getpid()));
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto model = NgramClassifier::load(file);
  std::filesystem::remove(file);
  if (!model) return 0;
  const double p = model->probability("a text");
  if (!(p > 0 && p < 1)) std::abort();
  return 0;
}
