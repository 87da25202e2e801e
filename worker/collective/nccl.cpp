// Moves bytes between GPUs. The communicator is non-blocking: every call may still be in progress when it returns, and
// is polled, so that an error of NCCL ends the wait. Transfers run on a stream of their own, ordered by events after
// the caller's stream; a call returns when its transfer has run, so the caller's next kernel needs no event.
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <cstring>
#include <numeric>
#include <optional>
#include <thread>

#include "common/core/check.hpp"
#include "common/core/files.hpp"
#include "worker/collective/nccl_group.hpp"

namespace plumbline {

namespace {

using Counts = std::vector<std::int64_t>;
using SteadyClock = std::chrono::steady_clock;
using Deadline = std::optional<SteadyClock::time_point>;

/// A group whose transfers have all run parts at once; one that does not is given up.
constexpr std::chrono::seconds kPartingTimeout{5};

Error failure(const char* call, ncclResult_t code, ncclComm_t comm) {
  std::string text = std::string(call) + " failed: " + ncclGetErrorString(code);
  const char* more = ncclGetLastError(comm);
  if (more != nullptr && *more != '\0') text.append(": ").append(more);
  return run_error(
      std::move(text), "NCCL",
      "Another worker may have died; the workers' logs say more, and NCCL_DEBUG=INFO makes NCCL tell all.");
}

/// Between two looks at something under way: short at first, since most transfers take microseconds.
class Patience {
 public:
  void wait() {
    if (SteadyClock::now() - began_ < std::chrono::milliseconds(1))
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }

 private:
  SteadyClock::time_point began_ = SteadyClock::now();
};

/// Owns a communicator: parted in peace with the other ranks, aborted after an error or where they do not answer.
class Communicator {
 public:
  Communicator(std::chrono::milliseconds timeout, const Interrupt* interrupt)
      : timeout_(timeout), interrupt_(interrupt) {}
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator() {
    if (comm_ == nullptr) return;
    const bool in_peace =
        !broken_ &&
        check(ncclCommFinalize(comm_), "ncclCommFinalize", SteadyClock::now() + kPartingTimeout).has_value();
    in_peace ? ncclCommDestroy(comm_) : ncclCommAbort(comm_);
  }

  Status join(int rank, int size, const ncclUniqueId& id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    return check(ncclCommInitRankConfig(&comm_, size, id, rank, &config), "ncclCommInitRankConfig",
                 SteadyClock::now() + timeout_);
  }

  /// What became of a call that returned `code`: polled while it is in progress, at most until `deadline`.
  Status check(ncclResult_t code, const char* call, Deadline deadline = std::nullopt) {
    Patience patience;
    while (code == ncclInProgress) {
      PLUMBLINE_TRY(check_interrupt());
      if (deadline && SteadyClock::now() >= *deadline) {
        broken_ = true;
        return run_error(std::string(call) + " does not come to an end", "NCCL",
                         "Another worker may have died, or the hosts cannot reach each other.");
      }
      patience.wait();
      ncclResult_t state = ncclSuccess;
      const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
      code = asked == ncclSuccess ? state : asked;
    }
    if (code == ncclSuccess) return {};
    broken_ = true;
    return failure(call, code, comm_);
  }
  /// An error that NCCL met on its own since the last call, or the coordinator's wish for another group.
  Status check_health() {
    PLUMBLINE_TRY(check_interrupt());
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    return check(asked == ncclSuccess ? state : asked, "a transfer");
  }
  Status check_interrupt() {
    if (interrupt_ == nullptr || !interrupt_->raised()) return {};
    broken_ = true;
    return run_error("the coordinator wants another group", "NCCL");
  }
  void set_broken() { broken_ = true; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] ncclComm_t get() const { return comm_; }

 private:
  std::chrono::milliseconds timeout_;
  const Interrupt* interrupt_;
  ncclComm_t comm_ = nullptr;
  bool broken_ = false;
};

class NcclCollective final : public Collective {
 public:
  explicit NcclCollective(const NcclPlace& place)
      : place_(place),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, place.device.index())),
        comm_(place.timeout, place.interrupt) {}
  Status join(const ncclUniqueId& id) {
    const c10::cuda::CUDAGuard guard(place_.device);
    return comm_.join(place_.rank, place_.size, id);
  }
  [[nodiscard]] int rank() const override { return place_.rank; }
  [[nodiscard]] int size() const override { return place_.size; }
  [[nodiscard]] std::string name() const override { return "nccl"; }
  [[nodiscard]] bool broken() const override { return comm_.broken(); }

  Status all_to_all(const at::Tensor& send, const Counts& send_counts, const Counts& send_offsets, at::Tensor& recv,
                    const Counts& recv_counts, const Counts& recv_offsets) override {
    const auto me = static_cast<std::size_t>(place_.rank);
    PLUMBLINE_CHECK(send_counts.at(me) == recv_counts.at(me), "what is sent is not what is received");
    require_device(send);
    require_device(recv);
    return run("all_to_all", [&]() -> Status {
      const at::NoGradGuard no_grad;
      if (send_counts[me] > 0)
        recv.narrow(0, recv_offsets.at(me), recv_counts[me])
            .copy_(send.narrow(0, send_offsets.at(me), send_counts[me]));
      return transfer([&]() -> Status {
        for (std::size_t p = 0; p < send_counts.size(); ++p) {
          if (p == me) continue;
          PLUMBLINE_TRY(send_piece(send, send_offsets.at(p), send_counts[p], p));
          PLUMBLINE_TRY(receive_piece(recv, recv_offsets.at(p), recv_counts.at(p), p));
        }
        return {};
      });
    });
  }

  Status all_gather(at::Tensor& buffer, const Counts& counts, const Counts& offsets) override {
    require_device(buffer);
    return run("all_gather", [&] { return gather(buffer, counts, offsets); });
  }

  Status broadcast(at::Tensor& buffer, int root) override {
    require_device(buffer);
    return run("broadcast", [&] {
      return transfer([&]() -> Status {
        void* data = buffer.mutable_data_ptr();
        return comm_.check(ncclBroadcast(data, data, buffer.nbytes(), ncclUint8, root, comm_.get(), stream_.stream()),
                           "ncclBroadcast");
      });
    });
  }

  Result<std::vector<std::string>> all_gather_bytes(const std::string& mine) override {
    std::vector<std::string> parts;
    PLUMBLINE_TRY(run("all_gather_bytes", [&] { return gather_strings(mine, parts); }));
    return parts;
  }

  Status barrier() override {
    return run("barrier", [&] {
      const auto n = static_cast<std::size_t>(place_.size);
      Counts offsets(n);
      std::iota(offsets.begin(), offsets.end(), 0);
      at::Tensor flags = at::zeros({place_.size}, bytes());
      return gather(flags, Counts(n, 1), offsets);
    });
  }

 private:
  [[nodiscard]] at::TensorOptions bytes() const { return at::TensorOptions(at::kByte).device(place_.device); }
  void require_device(const at::Tensor& tensor) const {
    PLUMBLINE_CHECK(tensor.device() == place_.device && tensor.is_contiguous(),
                    "NCCL moves contiguous tensors of this rank's GPU");
  }

  Status send_piece(const at::Tensor& from, std::int64_t offset, std::int64_t count, std::size_t to) {
    if (count == 0) return {};
    const auto width = static_cast<std::int64_t>(from.element_size());
    return comm_.check(ncclSend(static_cast<const char*>(from.const_data_ptr()) + offset * width,
                                static_cast<std::size_t>(count * width), ncclUint8, static_cast<int>(to), comm_.get(),
                                stream_.stream()),
                       "ncclSend");
  }
  Status receive_piece(at::Tensor& to, std::int64_t offset, std::int64_t count, std::size_t from) {
    if (count == 0) return {};
    const auto width = static_cast<std::int64_t>(to.element_size());
    return comm_.check(
        ncclRecv(static_cast<char*>(to.mutable_data_ptr()) + offset * width, static_cast<std::size_t>(count * width),
                 ncclUint8, static_cast<int>(from), comm_.get(), stream_.stream()),
        "ncclRecv");
  }

  /// Each rank's piece straight to every other: as many bytes a rank as a ring, and the pieces need not be equal.
  Status gather(at::Tensor& buffer, const Counts& counts, const Counts& offsets) {
    const auto me = static_cast<std::size_t>(place_.rank);
    return transfer([&]() -> Status {
      for (std::size_t p = 0; p < counts.size(); ++p) {
        if (p == me) continue;
        PLUMBLINE_TRY(send_piece(buffer, offsets.at(me), counts[me], p));
        PLUMBLINE_TRY(receive_piece(buffer, offsets.at(p), counts[p], p));
      }
      return {};
    });
  }

  Status gather_strings(const std::string& mine, std::vector<std::string>& parts) {
    const auto n = static_cast<std::size_t>(place_.size), me = static_cast<std::size_t>(place_.rank);
    Counts offsets(n);
    std::iota(offsets.begin(), offsets.end(), 0);
    at::Tensor lengths = at::zeros({place_.size}, bytes().dtype(at::kLong));
    lengths[place_.rank] = static_cast<std::int64_t>(mine.size());
    PLUMBLINE_TRY(gather(lengths, Counts(n, 1), offsets));
    const at::Tensor host_lengths = lengths.to(at::kCPU);
    const auto* length = host_lengths.const_data_ptr<std::int64_t>();
    const Counts counts(length, length + n);
    std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), std::int64_t{0});
    at::Tensor host = at::empty({offsets.back() + counts.back()}, at::kByte);
    auto* text = static_cast<char*>(host.mutable_data_ptr());
    std::memcpy(text + offsets[me], mine.data(), mine.size());
    at::Tensor all = host.to(place_.device);
    PLUMBLINE_TRY(gather(all, counts, offsets));
    host.copy_(all);
    for (std::size_t p = 0; p < n; ++p) parts.emplace_back(text + offsets[p], static_cast<std::size_t>(counts[p]));
    return {};
  }

  /// Enqueues a group of NCCL calls on this collective's stream, after all that the caller's stream holds, and waits
  /// until they have run.
  template <class Enqueue>
  Status transfer(const Enqueue& enqueue) {
    c10::cuda::CUDAEvent ready, done;
    ready.record(c10::cuda::getCurrentCUDAStream(place_.device.index()));
    ready.block(stream_);
    PLUMBLINE_TRY(comm_.check(ncclGroupStart(), "ncclGroupStart"));
    const Status enqueued = enqueue();
    const Status ended = comm_.check(ncclGroupEnd(), "ncclGroupEnd");  // also after an error: it closes the group
    PLUMBLINE_TRY(enqueued);
    PLUMBLINE_TRY(ended);
    done.record(stream_);
    for (Patience patience; !done.query(); patience.wait()) PLUMBLINE_TRY(comm_.check_health());
    return comm_.check_health();
  }

  /// Where CUDA's exceptions become errors.
  template <class Body>
  Status run(const char* what, const Body& body) {
    try {
      const c10::cuda::CUDAGuard guard(place_.device);
      return body();
    } catch (const std::exception& e) {
      comm_.set_broken();
      return run_error(std::string(what) + " failed: " + e.what(), "CUDA");
    }
  }

  NcclPlace place_;
  c10::cuda::CUDAStream stream_;
  Communicator comm_;
};

Result<ncclUniqueId> parse_id(const std::string& hex) {
  ncclUniqueId id{};
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  bool good = hex.size() == 2 * sizeof id.internal;
  for (std::size_t i = 0; good && i < sizeof id.internal; ++i) {
    const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    id.internal[i] = static_cast<char>(high * 16 + low);
  }
  if (!good)
    return run_error("the NCCL identifier is not " + std::to_string(2 * sizeof id.internal) + " hex digits", "NCCL");
  return id;
}

}  // namespace

Result<std::string> new_nccl_id() {
  ncclUniqueId id{};
  const ncclResult_t code = ncclGetUniqueId(&id);
  if (code != ncclSuccess) return failure("ncclGetUniqueId", code, nullptr);
  return to_hex(std::string_view(id.internal, sizeof id.internal));
}

Result<std::unique_ptr<Collective>> make_nccl_collective(const NcclPlace& place, const std::string& id_hex) {
  PLUMBLINE_ASSIGN(const ncclUniqueId id, parse_id(id_hex));
  try {
    auto collective = std::make_unique<NcclCollective>(place);
    PLUMBLINE_TRY(collective->join(id));
    return Result<std::unique_ptr<Collective>>(std::move(collective));
  } catch (const std::exception& e) {
    return environment_error("the GPU cannot be used: " + std::string(e.what()), place.device.str(),
                             "nvidia-smi says whether the driver works; or set workers.device to cpu.");
  }
}

}  // namespace plumbline
