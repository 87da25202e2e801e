// The mesh of an elastic group with ranks as threads: what it moves, and how a rank that goes, an interrupt, a stranger
// or a rank that does something else ends or does not end it.
#include "worker/collective/tcp_mesh.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <thread>

#include "common/wire/connection.hpp"
#include "tests/worker/collective/contract.hpp"

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kAtOnce = 1s;  // what ends a call does so within this

/// Listeners and interrupts of some ranks, and meshes of them.
class TcpMeshTest : public testing::Test {
 protected:
  void make(int size) {
    for (int rank = 0; rank < size; ++rank) {
      listeners_.push_back(std::make_unique<MeshListener>(MeshListener::open("127.0.0.1").value()));
      interrupts_.push_back(std::make_unique<Interrupt>());
      addresses_.push_back(listeners_.back()->address());
    }
  }
  [[nodiscard]] MeshPlace place_of(int rank, std::uint64_t generation = 7) const {
    MeshPlace place;
    place.rank = rank;
    place.addresses = addresses_;
    place.generation = Generation(generation);
    place.key = std::string(64, 'a');
    place.timeout = 60s;
    return place;
  }
  Result<std::unique_ptr<Collective>> gather(const MeshPlace& place) {
    const auto rank = static_cast<std::size_t>(place.rank);
    return make_tcp_collective(place, *listeners_[rank], *interrupts_[rank]);
  }
  /// Runs `body` as every rank of a new mesh at once and waits for all.
  void run(const std::function<void(std::unique_ptr<Collective>)>& body, std::uint64_t generation = 7) {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < static_cast<int>(listeners_.size()); ++rank)
      threads.emplace_back([this, &body, rank, generation] {
        auto mesh = gather(place_of(rank, generation));
        ASSERT_TRUE(mesh.has_value()) << to_string(mesh.error());
        body(std::move(mesh).value());
      });
    for (auto& thread : threads) thread.join();
  }
  /// A connection to rank 0 that says these bytes and then nothing.
  [[nodiscard]] FileDescriptor strange_call(const std::string& bytes) const {
    const std::string& address = addresses_.front();
    const int port = std::atoi(address.c_str() + address.rfind(':') + 1);
    FileDescriptor socket = connect_to_host("127.0.0.1", port, Clock::now() + 10s).value();
    EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    return socket;
  }

  std::vector<std::unique_ptr<MeshListener>> listeners_;
  std::vector<std::unique_ptr<Interrupt>> interrupts_;
  std::vector<std::string> addresses_;
};

TEST_F(TcpMeshTest, KeepsTheContract) {
  for (const int size : {1, 2, 3, 4, 5}) {
    listeners_.clear(), interrupts_.clear(), addresses_.clear();
    make(size);
    run([&](const std::unique_ptr<Collective>& mesh) {
      EXPECT_EQ(mesh->size(), size);
      EXPECT_EQ(mesh->name(), "tcp");
      for (const auto dtype : {at::kFloat, at::kDouble}) EXPECT_EQ(broken_contract(*mesh, dtype), "") << size;
      EXPECT_FALSE(mesh->broken());
    });
  }
}

TEST_F(TcpMeshTest, MovesMoreThanASocketHolds) {
  make(3);
  constexpr std::int64_t kElements = 6 << 20;
  run([&](const std::unique_ptr<Collective>& mesh) {
    at::Tensor buffer = at::full({3 * kElements}, -1, at::kFloat);
    buffer.narrow(0, mesh->rank() * kElements, kElements).fill_(mesh->rank());
    ASSERT_TRUE(mesh->all_gather(buffer, {kElements, kElements, kElements}, {0, kElements, 2 * kElements}).has_value());
    for (int rank = 0; rank < 3; ++rank)
      EXPECT_TRUE(buffer.narrow(0, rank * kElements, kElements).eq(rank).all().item<bool>());
  });
}

TEST_F(TcpMeshTest, ARankThatGoesEndsTheCallsOfTheOthers) {
  make(4);
  run([&](std::unique_ptr<Collective> mesh) {
    ASSERT_TRUE(mesh->barrier().has_value());
    if (mesh->rank() == 2) return mesh.reset();
    const auto begun = Clock::now();
    const Status ended = mesh->barrier();
    ASSERT_TRUE(ended.has_error());
    EXPECT_EQ(ended.error().code, ErrorCode::kRun);
    EXPECT_LT(Clock::now() - begun, kAtOnce);
    EXPECT_TRUE(mesh->broken());
    EXPECT_TRUE(mesh->all_gather_bytes("x").has_error()) << "and it stays broken";
  });
}

TEST_F(TcpMeshTest, TheSameRanksFormAnotherMeshAfterIt) {
  make(3);
  for (const std::uint64_t generation : {7, 8, 9})
    run(
        [&](std::unique_ptr<Collective> mesh) {
          ASSERT_TRUE(mesh->barrier().has_value());
          if (mesh->rank() == static_cast<int>(generation - 7)) return mesh.reset();
          EXPECT_TRUE(mesh->barrier().has_error());
        },
        generation);
}

TEST_F(TcpMeshTest, AnInterruptEndsAWaitingCallAndTheOthersToo) {
  make(3);
  std::promise<void> waits;
  std::thread raiser([&] {
    waits.get_future().wait();
    interrupts_[1]->raise();
  });
  run([&](const std::unique_ptr<Collective>& mesh) {
    ASSERT_TRUE(mesh->barrier().has_value());
    if (mesh->rank() == 0) return raiser.join();  // comes to no second call
    if (mesh->rank() == 1) waits.set_value();
    EXPECT_TRUE(mesh->barrier().has_error());
    EXPECT_TRUE(mesh->broken());
  });
}

TEST_F(TcpMeshTest, AnInterruptEndsTheGathering) {
  make(2);
  for (const int rank : {0, 1}) {  // Rank 0 waits to be called, rank 1 for an answer.
    auto gathering = std::async(std::launch::async, [&] { return gather(place_of(rank)).has_error(); });
    interrupts_[static_cast<std::size_t>(rank)]->raise();
    EXPECT_TRUE(gathering.get());
    interrupts_[static_cast<std::size_t>(rank)]->clear();
    EXPECT_FALSE(interrupts_[static_cast<std::size_t>(rank)]->raised());
  }
}

TEST_F(TcpMeshTest, ARankThatDoesNotComeIsAnErrorInTime) {
  make(2);
  MeshPlace place = place_of(0);
  place.timeout = 50ms;
  const auto alone = gather(place);
  ASSERT_TRUE(alone.has_error());
  EXPECT_NE(alone.error().message.find("in time"), std::string::npos);
}

TEST_F(TcpMeshTest, ARankThatDoesNotAnswerItsCallIsNamed) {
  make(3);
  std::vector<int> unreached;
  MeshPlace place = place_of(2);
  place.silence = 5s;
  place.unreached = [&](int rank) { unreached.push_back(rank); };
  listeners_[0].reset();  // Nobody listens at its address any more.
  EXPECT_TRUE(gather(place).has_error());
  EXPECT_EQ(unreached, std::vector<int>({0}));
  unreached.clear();
  interrupts_[2]->raise();
  EXPECT_TRUE(gather(place).has_error());
  EXPECT_TRUE(unreached.empty()) << "the generation is over, and with it perhaps that rank";
}

/// What comes of it where nothing arrives any more: tests/e2e/networks_test.py.
TEST_F(TcpMeshTest, ARankThatIsBusyIsNotSilent) {
  make(2);
  std::atomic<int> unreached = 0;
  std::vector<std::thread> ranks;
  for (const int rank : {0, 1})
    ranks.emplace_back([&, rank] {
      MeshPlace place = place_of(rank);
      place.silence = 1100ms;  // Its host is asked after a second.
      place.unreached = [&](int) { ++unreached; };
      const auto mesh = gather(place);
      ASSERT_TRUE(mesh.has_value()) << to_string(mesh.error());
      if (rank == 1) std::this_thread::sleep_for(2500ms);  // It computes.
      EXPECT_TRUE((*mesh)->barrier().has_value());
    });
  for (auto& rank : ranks) rank.join();
  EXPECT_EQ(unreached, 0);
}

TEST_F(TcpMeshTest, StrangersAreTurnedAwayAndTheMeshStillForms) {
  make(2);
  const FileDescriptor web = strange_call("GET / HTTP/1.1\r\nHost: here\r\n\r\n" + std::string(200, ' '));
  const FileDescriptor silent = strange_call("plm");
  FileDescriptor gone = strange_call("plmesh01");
  gone.close();
  run([](const std::unique_ptr<Collective>& mesh) { EXPECT_EQ(broken_contract(*mesh, at::kFloat), ""); });
}

TEST_F(TcpMeshTest, AnotherKeyOrAnEarlierGenerationIsTurnedAway) {
  for (const bool by_key : {true, false}) {
    listeners_.clear(), interrupts_.clear(), addresses_.clear();
    make(2);
    MeshPlace wrong = place_of(1, by_key ? 7 : 6);
    if (by_key) wrong.key = std::string(64, 'b');
    wrong.timeout = 60s;
    // Its listener is its own, so that the right rank 1 is not in its way.
    const MeshListener own = MeshListener::open("127.0.0.1").value();
    const Interrupt none;
    auto refused = std::async(std::launch::async, [&] { return make_tcp_collective(wrong, own, none).has_error(); });
    auto first = std::async(std::launch::async, [&] { return gather(place_of(0)); });
    EXPECT_TRUE(refused.get());
    const auto second = gather(place_of(1));
    ASSERT_TRUE(second.has_value());
    ASSERT_TRUE(first.get().has_value());
  }
}

TEST_F(TcpMeshTest, AKeyOfAnotherLengthIsAnError) {
  make(1);
  MeshPlace place = place_of(0);
  place.key = "";
  EXPECT_TRUE(gather(place).has_error());
}

TEST_F(TcpMeshTest, ARankThatDoesSomethingElseIsFoundOut) {
  make(2);
  run([](const std::unique_ptr<Collective>& mesh) {
    at::Tensor buffer = at::zeros({mesh->rank() == 0 ? 4 : 5}, at::kFloat);
    Status status = mesh->broadcast(buffer, 0);
    // Rank 0, which receives nothing, learns it at the next call at the latest.
    if (status.has_value()) status = mesh->barrier();
    EXPECT_TRUE(status.has_error()) << "4 elements are not 5";
    EXPECT_TRUE(mesh->broken());
  });
}

}  // namespace
}  // namespace plumbline
