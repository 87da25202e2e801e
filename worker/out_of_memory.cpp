#include "worker/out_of_memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <new>
#include <string_view>
#include <system_error>
#include <vector>

namespace plumbline {

namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

std::string size_text(double bytes) {
  const bool large = bytes >= 1024 * kMebibyte;
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                 bytes / (large ? 1024 * kMebibyte : kMebibyte), std::chars_format::fixed, 2);
  return std::string(digits.data(), end.ptr) + (large ? " GiB" : " MiB");
}

/// What stands between `before` and the next `after`; nothing where either is missing.
std::optional<std::string> between(const std::string& text, std::string_view before, std::string_view after) {
  const std::size_t found = text.find(before);
  if (found == std::string::npos) return std::nullopt;
  const std::size_t begin = found + before.size(), end = text.find(after, begin);
  if (end == std::string::npos) return std::nullopt;
  return text.substr(begin, end - begin);
}

/// The first number of a file of the kernel's behind `key` ("" : at its beginning); nothing for "max".
std::optional<double> number_in(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    if (!key.empty() && word != key) continue;
    if (!key.empty() && !(in >> word)) return std::nullopt;
    double number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    return error == std::errc() && end == word.data() + word.size() ? std::optional(number) : std::nullopt;
  }
  return std::nullopt;
}

/// What this process could still have: the host's memory, or less where its group or its address space is limited.
std::optional<double> free_bytes_of_host() {
  std::vector<double> limits;
  if (const auto available = number_in("/proc/meminfo", "MemAvailable:")) limits.push_back(*available * 1024);
  const auto most = number_in("/sys/fs/cgroup/memory.max", ""), used = number_in("/sys/fs/cgroup/memory.current", "");
  if (most && used) limits.push_back(*most - *used);
  rlimit space{};
  const auto pages = number_in("/proc/self/statm", "");
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY && pages)
    limits.push_back(static_cast<double>(space.rlim_cur) - *pages * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  if (limits.empty()) return std::nullopt;
  return std::max(0.0, *std::min_element(limits.begin(), limits.end()));
}

std::string free_on_host() {
  const auto bytes = free_bytes_of_host();
  return bytes ? size_text(*bytes) : std::string();
}

MemoryShortage shortage_of_gpu(const std::string& what) {
  MemoryShortage shortage{between(what, "Tried to allocate ", ". ").value_or(""), {}};
  const auto total = between(what, "has a total capacity of ", " of which ");
  const auto free = between(what, " of which ", " is free");
  if (free) shortage.free = *free + (total ? " of this GPU's " + *total : "");
  return shortage;
}

std::string count_text(std::int64_t rows, const std::string& what, std::int64_t tokens) {
  return std::to_string(rows) + " " + what + (rows == 1 ? "" : "s") + " of up to " + std::to_string(tokens) +
         " tokens (" + std::to_string(rows * tokens) + " with padding)";
}

std::string text_of(const Activity::Work& work) {
  std::string text = "in the stage \"" + work.stage + "\"";
  if (work.step > 0) text += " behind step " + std::to_string(work.step);
  if (work.sources > 0) text += ", computing " + count_text(work.sources, "source", work.source_tokens);
  if (work.outputs > 0)
    text += (work.sources > 0 ? " and " : ", computing ") + count_text(work.outputs, "output", work.output_tokens);
  return text;
}

std::string key_text(const char* key, std::int64_t now) {
  return std::string(key) + " (" + std::to_string(now) + " now)";
}

std::string hint_of_training(const Activity::Work& work, const RunConfig& config) {
  const TrainConfig& train = config.train;
  std::string hint = work.sources == 1 ? "A long example is computed alone: lower " +
                                             key_text("train.max_source_tokens", train.max_source_tokens) + " or " +
                                             key_text("train.max_output_tokens", train.max_output_tokens)
                                       : "Lower " + key_text("train.micro_batch_tokens", train.micro_batch_tokens);
  if (train.precision == "fp32") hint += ", set train.precision: bf16";
  if (config.lora.rank == 0 && config.optimizer.name == "adamw") hint += ", set optimizer.name: adafactor";
  hint += ": each makes another run.";
  if (train.activations == "keep")
    hint +=
        " First try train.activations: recompute (gradient checkpointing): its weights are the same bits, so this "
        "run can be resumed with --set train.activations=recompute.";
  return hint;
}

}  // namespace

std::optional<MemoryShortage> memory_shortage(const std::exception& e) {
  const std::string what = e.what();
  const auto says = [&](std::string_view words) { return what.find(words) != std::string::npos; };
  if (says("CUDA out of memory")) return shortage_of_gpu(what);
  if (says("CUDA error: out of memory") || says("CUBLAS_STATUS_ALLOC_FAILED")) return MemoryShortage{};
  if (says("DefaultCPUAllocator: can't allocate memory")) {
    MemoryShortage shortage{{}, free_on_host()};
    if (const auto bytes = between(what, "you tried to allocate ", " bytes")) {
      double number = 0;
      const auto [end, error] = std::from_chars(bytes->data(), bytes->data() + bytes->size(), number);
      if (error == std::errc()) shortage.asked = size_text(number);
    }
    return shortage;
  }
  const auto* system = dynamic_cast<const std::system_error*>(&e);
  const bool no_memory = system != nullptr && system->code() == std::errc::not_enough_memory;
  if (no_memory || dynamic_cast<const std::bad_alloc*>(&e) != nullptr) return MemoryShortage{{}, free_on_host()};
  return std::nullopt;
}

Error library_error(const std::exception& e, const std::string& who, const Activity::Work& work,
                    const std::string& hint) {
  const auto shortage = memory_shortage(e);
  if (!shortage) return run_error(std::string("a library failed: ") + e.what(), who);
  std::string message = "out of memory " + text_of(work);
  if (!shortage->asked.empty()) message += "; " + shortage->asked + " more were asked for";
  if (!shortage->free.empty()) message += "; " + shortage->free + " are free";
  return environment_error(message, who, hint);
}

std::string memory_hint(const Activity::Work& work, const RunConfig& config) {
  if (work.stage == "training") return hint_of_training(work, config);
  if (work.stage == "evaluation" || work.stage == "snapshot" || (work.stage == "reference" && work.sources > 1))
    return "Lower " + key_text("evaluate.batch_rows", config.evaluate.batch_rows) +
           (work.stage == "evaluation"
                ? " or " + key_text("evaluate.max_new_tokens", config.evaluate.max_new_tokens) + "."
                : ".");
  if (work.stage == "reference")
    return "Each example is computed alone: lower " +
           key_text("train.max_source_tokens", config.train.max_source_tokens) + " or " +
           key_text("train.max_output_tokens", config.train.max_output_tokens) + ".";
  return "The model, its gradients and the optimizer's state do not fit beside what else is on this host. Take fewer "
         "workers a host, optimizer.name: adafactor, lora.rank, or a smaller model.";
}

}  // namespace plumbline
