// Moves bytes between the ranks of MPI_COMM_WORLD. Every transfer is a set of non-blocking messages straight from and
// to the tensors' memory, in pieces that MPI's int counts can hold.
#define OMPI_SKIP_MPICXX 1  // the C interface alone
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "common/core/check.hpp"
#include "worker/collective/collective.hpp"
#include "worker/collective/mpi_session.hpp"

namespace plumbline {

namespace {

using Counts = std::vector<std::int64_t>;

constexpr std::int64_t kPieceBytes = 1 << 30;
constexpr int kTag = 7;

Status check(int code, const char* call) {
  if (code == MPI_SUCCESS) return {};
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return run_error(std::string(call) + " failed: " + std::string(text, static_cast<std::size_t>(length)), "MPI",
                   "Another worker may have died; the workers' logs say more.");
}

/// Messages under way; all are waited for before their memory goes away.
class Transfers {
 public:
  explicit Transfers(MPI_Comm comm) : comm_(comm) {}
  Status receive(char* to, std::int64_t bytes, int from) {
    for (std::int64_t at = 0; at < bytes; at += kPieceBytes)
      PLUMBLINE_TRY(check(MPI_Irecv(to + at, piece(bytes - at), MPI_BYTE, from, kTag, comm_, &requests_.emplace_back()),
                          "MPI_Irecv"));
    return {};
  }
  Status send(const char* from, std::int64_t bytes, int to) {
    for (std::int64_t at = 0; at < bytes; at += kPieceBytes)
      PLUMBLINE_TRY(check(MPI_Isend(from + at, piece(bytes - at), MPI_BYTE, to, kTag, comm_, &requests_.emplace_back()),
                          "MPI_Isend"));
    return {};
  }
  Status wait() {
    return check(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
  }

 private:
  static int piece(std::int64_t left) { return static_cast<int>(std::min(left, kPieceBytes)); }
  MPI_Comm comm_;
  std::vector<MPI_Request> requests_;
};

const char* bytes_of(const at::Tensor& tensor) { return static_cast<const char*>(tensor.const_data_ptr()); }
char* mutable_bytes_of(at::Tensor& tensor) { return static_cast<char*>(tensor.mutable_data_ptr()); }

class MpiCollective final : public Collective {
 public:
  MpiCollective() {
    // Errors come back as codes instead of ending the process inside the library.
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
  }
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  Status all_to_all(const at::Tensor& send, const Counts& send_counts, const Counts& send_offsets, at::Tensor& recv,
                    const Counts& recv_counts, const Counts& recv_offsets) override {
    require_host(send);
    require_host(recv);
    const auto width = static_cast<std::int64_t>(recv.element_size());
    Transfers transfers(comm_);
    for (int step = 1; step < size_; ++step) {
      const auto p = peer(-step);
      PLUMBLINE_TRY(transfers.receive(mutable_bytes_of(recv) + recv_offsets.at(p) * width, recv_counts.at(p) * width,
                                      static_cast<int>(p)));
    }
    for (int step = 1; step < size_; ++step) {  // Starting with the next rank spreads the load.
      const auto p = peer(step);
      PLUMBLINE_TRY(
          transfers.send(bytes_of(send) + send_offsets.at(p) * width, send_counts.at(p) * width, static_cast<int>(p)));
    }
    const auto me = static_cast<std::size_t>(rank_);
    PLUMBLINE_CHECK(send_counts.at(me) == recv_counts.at(me), "what is sent is not what is received");
    if (send_counts[me] > 0)
      std::memcpy(mutable_bytes_of(recv) + recv_offsets.at(me) * width, bytes_of(send) + send_offsets.at(me) * width,
                  static_cast<std::size_t>(send_counts[me] * width));
    return transfers.wait();
  }

  Status all_gather(at::Tensor& buffer, const Counts& counts, const Counts& offsets) override {
    require_host(buffer);
    return gather_in_place(mutable_bytes_of(buffer), static_cast<std::int64_t>(buffer.element_size()), counts, offsets);
  }

  Status broadcast(at::Tensor& buffer, int root) override {
    require_host(buffer);
    char* data = mutable_bytes_of(buffer);
    const auto bytes = static_cast<std::int64_t>(buffer.nbytes());
    for (std::int64_t at = 0; at < bytes; at += kPieceBytes)
      PLUMBLINE_TRY(
          check(MPI_Bcast(data + at, static_cast<int>(std::min(bytes - at, kPieceBytes)), MPI_BYTE, root, comm_),
                "MPI_Bcast"));
    return {};
  }

  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) override {
    const auto length = static_cast<std::int64_t>(mine.size());
    Counts counts(static_cast<std::size_t>(size_)), offsets(counts.size());
    PLUMBLINE_TRY(check(MPI_Allgather(&length, 1, MPI_INT64_T, counts.data(), 1, MPI_INT64_T, comm_), "MPI_Allgather"));
    std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), std::int64_t{0});
    std::string all(static_cast<std::size_t>(offsets.back() + counts.back()), '\0');
    std::copy(mine.begin(), mine.end(), all.begin() + offsets[static_cast<std::size_t>(rank_)]);
    PLUMBLINE_TRY(gather_in_place(all.data(), 1, counts, offsets));
    std::vector<std::string> parts;
    for (std::size_t p = 0; p < counts.size(); ++p)
      parts.push_back(all.substr(static_cast<std::size_t>(offsets[p]), static_cast<std::size_t>(counts[p])));
    return parts;
  }

  Status barrier() override { return check(MPI_Barrier(comm_), "MPI_Barrier"); }
  [[nodiscard]] std::string name() const override { return "mpi"; }

 private:
  [[nodiscard]] std::size_t peer(int distance) const {
    return static_cast<std::size_t>((rank_ + distance + size_) % size_);
  }
  static void require_host(const at::Tensor& tensor) {
    PLUMBLINE_CHECK(tensor.is_cpu() && tensor.is_contiguous(), "MPI moves contiguous tensors of the CPU");
  }
  Status gather_in_place(char* data, std::int64_t width, const Counts& counts, const Counts& offsets) {
    const auto me = static_cast<std::size_t>(rank_);
    Transfers transfers(comm_);
    for (int step = 1; step < size_; ++step) {
      const auto p = peer(-step);
      PLUMBLINE_TRY(transfers.receive(data + offsets.at(p) * width, counts.at(p) * width, static_cast<int>(p)));
    }
    for (int step = 1; step < size_; ++step)
      PLUMBLINE_TRY(transfers.send(data + offsets.at(me) * width, counts.at(me) * width, static_cast<int>(peer(step))));
    return transfers.wait();
  }

  MPI_Comm comm_ = MPI_COMM_WORLD;
  int rank_ = 0, size_ = 1;
};

std::optional<int> integer_of(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return std::nullopt;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 0 || value > 1'000'000) return std::nullopt;
  return static_cast<int>(value);
}

}  // namespace

std::optional<MpiPlace> mpirun_place() {
  const auto rank = integer_of("OMPI_COMM_WORLD_RANK"), size = integer_of("OMPI_COMM_WORLD_SIZE");
  if (!rank || !size || *rank >= *size) return std::nullopt;
  return MpiPlace{*rank, *size};
}

Result<MpiPlace> initialize_mpi() {
  int provided = 0;
  PLUMBLINE_TRY(check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread"));
  if (provided < MPI_THREAD_FUNNELED)
    return environment_error("this MPI does not allow threads beside the one that calls it", "MPI",
                             "Install a thread-enabled MPI (Debian: libopenmpi-dev).");
  MpiPlace place;
  PLUMBLINE_TRY(check(MPI_Comm_rank(MPI_COMM_WORLD, &place.rank), "MPI_Comm_rank"));
  PLUMBLINE_TRY(check(MPI_Comm_size(MPI_COMM_WORLD, &place.size), "MPI_Comm_size"));
  return place;
}

Status finalize_mpi() { return check(MPI_Finalize(), "MPI_Finalize"); }

std::unique_ptr<Collective> make_mpi_collective() { return std::make_unique<MpiCollective>(); }

}  // namespace plumbline
