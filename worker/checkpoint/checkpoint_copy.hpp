// A rank's parts of a checkpoint as they were at one step, in host memory: training changes the weights while they are
// written. The memory is kept from one checkpoint to the next, about as much as the parts have bytes; for weights on a
// GPU it is pinned. take() and reserve() on the thread that computes; files() of one that is not changed, on any
// thread.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/record/checkpoint_manifest.hpp"
#include "common/text/tokenizer.hpp"
#include "worker/model/t5.hpp"
#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

/// What a checkpoint is made of.
struct CheckpointSource {
  const T5& model;
  const Optimizer& optimizer;
  const Tokenizer& tokenizer;
};

class CheckpointCopy {
 public:
  /// A file as it is to be written.
  struct File {
    std::string name;  ///< inside the folder
    std::string text;  ///< of a small one
    at::Tensor image;  ///< of a large one: bytes on the host
    [[nodiscard]] std::string_view bytes() const;
  };

  /// Asks for the memory that take() will need. An environment error when there is none.
  Status reserve(const CheckpointSource& source, int rank, int world);
  /// The parts of `rank` as they are now.
  Status take(const CheckpointSource& source, const CheckpointState& state, int rank, int world);
  /// What was taken, in the order in which it is to be written.
  [[nodiscard]] const std::vector<File>& files() const { return files_; }
  /// Has the system give the memory that was reserved, so that the first take() need not wait for it (half a second for
  /// a gigabyte). `go_on` is asked between blocks. Any thread, while nobody else uses this.
  void touch(const std::function<bool()>& go_on);

 private:
  /// Kept from before, where it has this size.
  Result<at::Tensor> room_for(const std::string& file, std::uint64_t bytes, bool pinned);

  std::map<std::string, at::Tensor> images_;  ///< by file
  std::vector<at::Tensor> untouched_;         ///< those that are new
  std::vector<File> files_;
};

}  // namespace plumbline
