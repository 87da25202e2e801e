#include "common/text/classifier.hpp"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "common/core/files.hpp"
#include "common/core/utf8.hpp"
#include "common/text/word_list.hpp"  // ascii_lower

namespace plumbline {

namespace {

constexpr std::size_t kBuckets = 1u << 18;
constexpr std::size_t kLongestNgram = 5;

/// A text's buckets and their weights, of norm 1.
struct Feature {
  std::uint32_t bucket;
  float value;
};

/// The n-grams of `text` in `features`, which is reused from row to row; buckets ascend.
void extract(std::string_view text, std::vector<Feature>& features) {
  std::string padded(1, ' ');
  padded.append(ascii_lower(text)).append(1, ' ');
  std::vector<std::size_t> starts;  // of code points, and the end
  for (std::size_t at = 0; at < padded.size(); at += next_code_point(std::string_view(padded).substr(at)).bytes)
    starts.push_back(at);
  starts.push_back(padded.size());

  std::vector<std::uint32_t> buckets;
  buckets.reserve(kLongestNgram * starts.size());
  for (std::size_t i = 0; i + 1 < starts.size(); ++i)
    for (std::size_t n = 1; n <= kLongestNgram && i + n < starts.size(); ++n)
      buckets.push_back(
          static_cast<std::uint32_t>(XXH3_64bits(padded.data() + starts[i], starts[i + n] - starts[i]) % kBuckets));
  std::sort(buckets.begin(), buckets.end());

  features.clear();
  double squares = 0;
  for (std::size_t i = 0; i < buckets.size();) {
    std::size_t end = i;
    while (end < buckets.size() && buckets[end] == buckets[i]) ++end;
    const auto count = static_cast<float>(end - i);
    features.push_back({buckets[i], count});
    squares += static_cast<double>(count) * count;
    i = end;
  }
  const auto scale = static_cast<float>(1 / std::sqrt(squares));
  for (Feature& feature : features) feature.value *= scale;
}

double logit(const std::vector<Feature>& features, const std::vector<float>& weights, float bias) {
  double sum = bias;
  for (const Feature& f : features) sum += static_cast<double>(weights[f.bucket]) * f.value;
  return sum;
}

/// In (0,1) also for logits that would round to an end.
double sigmoid(double x) { return 1 / (1 + std::exp(-std::clamp(x, -30.0, 30.0))); }

/// Row numbers in an order that is a function of seed and epoch.
std::vector<std::size_t> shuffled(std::size_t rows, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::pair<std::uint64_t, std::size_t>> keyed(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint64_t key[2] = {epoch, i};
    keyed[i] = {XXH3_64bits_withSeed(key, sizeof key, seed), i};
  }
  std::sort(keyed.begin(), keyed.end());
  std::vector<std::size_t> order(rows);
  std::transform(keyed.begin(), keyed.end(), order.begin(), [](const auto& k) { return k.second; });
  return order;
}

}  // namespace

NgramClassifier::NgramClassifier() : weights_(kBuckets, 0.0f) {}

NgramClassifier NgramClassifier::train(const std::vector<Row>& rows, std::uint64_t seed) {
  // AdaGrad (Duchi et al. 2011) on the logistic loss: rare n-grams keep a large rate, and nothing needs tuning per
  // norm.
  constexpr int kEpochs = 4;
  constexpr float kRate = 0.5f;
  constexpr float kEpsilon = 1e-3f;
  NgramClassifier model;
  std::vector<float> squares(kBuckets, 0.0f);
  float bias_squares = 0;
  std::vector<Feature> features;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    for (const std::size_t i : shuffled(rows.size(), seed, static_cast<std::uint64_t>(epoch))) {
      extract(rows[i].text, features);
      const double error = sigmoid(logit(features, model.weights_, model.bias_)) - (rows[i].undesirable ? 1.0 : 0.0);
      for (const Feature& f : features) {
        const float gradient = static_cast<float>(error) * f.value;
        squares[f.bucket] += gradient * gradient;
        model.weights_[f.bucket] -= kRate * gradient / (std::sqrt(squares[f.bucket]) + kEpsilon);
      }
      const auto gradient = static_cast<float>(error);
      bias_squares += gradient * gradient;
      model.bias_ -= kRate * gradient / (std::sqrt(bias_squares) + kEpsilon);
    }
  }
  return model;
}

double NgramClassifier::probability(std::string_view text) const {
  std::vector<Feature> features;
  extract(text, features);
  return sigmoid(logit(features, weights_, bias_));
}

double NgramClassifier::accuracy(const std::vector<Row>& rows) const {
  if (rows.empty()) return 0;
  const auto right = std::count_if(rows.begin(), rows.end(),
                                   [&](const Row& row) { return (probability(row.text) >= 0.5) == row.undesirable; });
  return static_cast<double>(right) / static_cast<double>(rows.size());
}

// ------------------------------------------------------------------------------------------------------------ file

namespace {

static_assert(std::endian::native == std::endian::little, "the file's numbers are copied as they lie in memory");

constexpr char kMagic[8] = {'P', 'L', 'B', 'L', 'N', 'G', 'R', 'M'};
constexpr std::uint32_t kVersion = 1;
struct Header {
  char magic[8];
  std::uint32_t version, buckets;
  float bias;
  std::uint32_t reserved;
};
static_assert(sizeof(Header) == 24);
constexpr std::size_t kWeightBytes = kBuckets * sizeof(float);
constexpr std::size_t kFileBytes = sizeof(Header) + kWeightBytes + sizeof(std::uint64_t);

}  // namespace

Status NgramClassifier::save(const std::filesystem::path& file) const {
  Header header{{}, kVersion, kBuckets, bias_, 0};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::string bytes(kFileBytes, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, weights_.data(), kWeightBytes);
  const std::uint64_t checksum = XXH3_64bits(bytes.data(), sizeof header + kWeightBytes);
  std::memcpy(bytes.data() + sizeof header + kWeightBytes, &checksum, sizeof checksum);
  return write_file_atomically(file, bytes);
}

Result<NgramClassifier> NgramClassifier::load(const std::filesystem::path& file) {
  const auto damaged = [&](const std::string& message) {
    return data_error(message, file.string(), "Curate the dataset again to make this classifier again.");
  };
  PLUMBLINE_ASSIGN(const std::string bytes, read_file(file, 2 * kFileBytes));
  if (bytes.size() < sizeof(Header)) return damaged("too short to be a classifier");
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return damaged("not a classifier of Plumbline");
  if (header.version != kVersion)
    return damaged("a classifier of format version " + std::to_string(header.version) + ", not 1");
  if (header.buckets != kBuckets || header.reserved != 0 || bytes.size() != kFileBytes)
    return damaged("a classifier file of " + std::to_string(kFileBytes) + " bytes is expected, and this one has " +
                   std::to_string(bytes.size()));
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, bytes.data() + sizeof header + kWeightBytes, sizeof checksum);
  if (checksum != XXH3_64bits(bytes.data(), sizeof header + kWeightBytes))
    return damaged("damaged: its checksum does not hold");
  NgramClassifier model;
  model.bias_ = header.bias;
  std::memcpy(model.weights_.data(), bytes.data() + sizeof header, kWeightBytes);
  const auto finite = [](float w) { return std::isfinite(w); };
  if (!finite(model.bias_) || !std::all_of(model.weights_.begin(), model.weights_.end(), finite))
    return damaged("damaged: a weight is not a finite number");
  return model;
}

}  // namespace plumbline
