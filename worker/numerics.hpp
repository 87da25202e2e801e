// What decides the bits of a computation beside its inputs: threads, vector instructions, libraries, denormals. All of
// it is set here, explicitly, and never inherited from a shell or a launcher.
#pragma once
#include <string>

#include "worker/model/t5.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

/// Sets the environment that OpenMP and MKL read. OpenMP reads it before main(), so when something inherited
/// contradicts it the program is executed again with it. Call first of all, on the only thread.
void fix_environment(int threads, char** argv);

/// Threads, denormals and deterministic kernels. Call before the first tensor operation, on the thread that computes.
void fix_numerics(int threads);

/// "cpu AVX512 threads=1 torch=2.11.0 mkl_cbwr=… arithmetic=3 reduction=reproducible": equal for two workers that
/// compute the same bits.
std::string numeric_fingerprint(at::Device device, int threads, Precision precision);

}  // namespace plumbline
