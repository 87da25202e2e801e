// The worker process that answers, at the other end of two pipes (common/data/generation.hpp has the messages).
// Destroying it ends the process. SIGPIPE must be ignored. Room-internal.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/core/file_descriptor.hpp"
#include "common/core/result.hpp"
#include "common/data/generation.hpp"
#include "coordinator/launch/launch.hpp"

namespace plumbline {

class AnsweringWorker {
 public:
  /// Started, with its model loaded. Errors: environment (no worker program), those of the worker (the model), run (it
  /// died; with the end of what it wrote to its standard error).
  static Result<AnsweringWorker> start(const GenerationTask& task, int threads);

  /// The answers to a window, by source. `answered` is called after each as it comes.
  Result<std::vector<Answer>> answer(const SourceWindow& window, const std::function<void()>& answered);
  /// Nothing more is asked; an error when the worker does not end well.
  Status finish();

 private:
  AnsweringWorker() = default;
  Status send(const Json& json);
  Result<Json> receive();
  /// What became of a worker that hung up.
  Error end();

  std::unique_ptr<WorkerGroup> process_;
  FileDescriptor log_, to_worker_, from_worker_;
  std::string received_;      ///< not yet taken as lines
  std::size_t searched_ = 0;  ///< bytes of received_ without a line feed
};

}  // namespace plumbline
