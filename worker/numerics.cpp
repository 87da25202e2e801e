#include "worker/numerics.hpp"

#include <ATen/Version.h>
#include <malloc.h>
#include <torch/version.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "worker/device.hpp"

namespace plumbline {

namespace {

/// MKL's conditional numerical reproducibility: one code path whatever the processor. AVX2 costs nothing against MKL's
/// own choice on a recent x86 (112 GFLOP/s a core either way); COMPATIBLE costs more than half (49 GFLOP/s).
constexpr const char* kMklBranch = "AVX2";

/// Counts the changes of Plumbline's own arithmetic that moved bits, and of how a batch is cut.
constexpr const char* kArithmetic = "3";

/// How bf16 products are made on the CPU: oneDNN takes the best instructions that there are.
std::string products_of(at::Device device, Precision precision) {
  if (precision == Precision::kFp32) return "";
  if (!device.is_cpu()) return " bf16";
#ifdef __x86_64__
  if (__builtin_cpu_supports("amx-bf16")) return " bf16=amx";
  if (__builtin_cpu_supports("avx512bf16")) return " bf16=avx512_bf16";
#endif
  return " bf16=other";
}

/// Blocks up to this size stay with the process when they are freed: the next micro-batch asks for the same ones, and a
/// page that was given back costs a fault for every 4 KiB when it comes again.
constexpr int kKeptBlockBytes = 32 << 20;
constexpr int kKeptFreeBytes = 1 << 30;

}  // namespace

void fix_environment(int threads, char** argv) {
  const std::string count = std::to_string(threads);
  const std::vector<std::pair<const char*, std::string>> wanted{
      {"OMP_NUM_THREADS", count}, {"MKL_NUM_THREADS", count}, {"OMP_DYNAMIC", "FALSE"},
      {"MKL_DYNAMIC", "FALSE"},   {"MKL_CBWR", kMklBranch},   {"CUBLAS_WORKSPACE_CONFIG", ":4096:8"}};
  bool contradicted = false;
  for (const auto& [name, value] : wanted) {
    const char* inherited = std::getenv(name);
    contradicted |= inherited != nullptr && value != inherited;
    setenv(name, value.c_str(), 1);
  }
  for (const char* name : {"OMP_THREAD_LIMIT", "OMP_SCHEDULE", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"}) {
    contradicted |= std::getenv(name) != nullptr;
    unsetenv(name);
  }
  // On failure the settings below still hold for what is read late.
  if (contradicted) execv("/proc/self/exe", argv);
}

void fix_numerics(int threads) {
  // Threads that OpenMP starts later inherit the flush-to-zero mode of this one.
  at::globalContext().setFlushDenormal(true);
  mallopt(M_MMAP_THRESHOLD, kKeptBlockBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptFreeBytes);
  at::set_num_threads(threads);
  at::set_num_interop_threads(1);
  // CPU kernels are deterministic for a number of threads; GPU kernels have to be told.
  if (at::hasCUDA()) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
    at::globalContext().setBenchmarkCuDNN(false);
  }
}

std::string numeric_fingerprint(at::Device device, int threads, Precision precision) {
  // A GPU's model, not its index: ranks of one host compute the same bits on different ones.
  const std::string processor =
      device.is_cpu() ? "cpu" : visible_gpus().at(static_cast<std::size_t>(device.index())).model;
  return processor + " " + at::get_cpu_capability() + " threads=" + std::to_string(threads) +
         " torch=" + TORCH_VERSION + " mkl_cbwr=" + kMklBranch + " arithmetic=" + kArithmetic +
         products_of(device, precision) + " reduction=reproducible";
}

}  // namespace plumbline
