// `plumbline generate MODEL`: what a model writes for the lines of a file or of the standard input.
#include "coordinator/generate/generate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "coordinator/command/command.hpp"
#include "coordinator/command/progress_line.hpp"
#include "coordinator/inspect/table.hpp"

namespace plumbline {
namespace {

Status run_generate(GenerateOptions options) {
  std::signal(SIGPIPE, SIG_IGN);  // `plumbline generate MODEL | head` ends quietly.
  options.for_terminal = options.out == "-" && ::isatty(STDOUT_FILENO) == 1;
  const bool shows = !options.for_terminal;  // Outputs on a terminal show by themselves how far it is.
  ProgressLine line("answered");
  PLUMBLINE_ASSIGN(const GenerateCounts counts, generate(options, [&](std::int64_t done) {
                     if (shows) line.show(done);
                   }));
  if (!counts.is_read) return {};
  if (shows) line.finish(counts.sources);
  if (counts.incomplete > 0)
    std::fprintf(stderr, "%s\n",
                 fmt::format("{} of {} outputs have no end within --max-new-tokens {}", counts.incomplete,
                             counts.outputs, options.task.max_new_tokens)
                     .c_str());
  if (counts.cut > 0)
    std::fprintf(stderr, "%s\n",
                 printable(fmt::format("{} of {} sources were longer than --max-source-tokens {} and lost their "
                                       "beginning, the first at {}",
                                       counts.cut, counts.sources, options.task.max_source_tokens, counts.first_cut))
                     .c_str());
  return {};
}

}  // namespace

void add_generate(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand("generate", "Let a model answer sources, one a line");
  auto options = std::make_shared<GenerateOptions>();
  GenerationTask& task = options->task;
  command
      ->add_option("MODEL", options->model,
                   "Run directory (its newest checkpoint), or a folder with config.json and model.safetensors")
      ->required();
  command->add_option("--input", options->input, "File of sources, plain or gzipped; -: standard input, plain")
      ->capture_default_str();
  command->add_option("--out", options->out, "File for the outputs, in the order of the sources; -: standard output")
      ->capture_default_str();
  command->add_flag("--json", options->json,
                    "Lines are JSON objects: with \"source\" in, with \"source\", \"output\", \"complete\" out");
  command->add_flag("--replace", options->replace, "Put the outputs in the place of an earlier file");
  command->add_option("--max-new-tokens", task.max_new_tokens, "Longest output")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command
      ->add_option("--max-source-tokens", task.max_source_tokens,
                   "Longest source; a longer one loses its beginning, as in training")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("--beams", task.beams, "Search with this many beams for the likeliest output; 1: greedy")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      ->add_option("--length-penalty", task.length_penalty,
                   "Beams: an output's log-probability is divided by its length to this power; larger favours longer")
      ->check(CLI::Range(-5.0, 5.0))
      ->capture_default_str();
  command->add_flag("--early-stopping", task.early_stopping,
                    "Beams: stop as soon as as many outputs as beams have ended");
  command->add_option("--temperature", task.temperature, "Draw outputs; 1: as the model gives them; 0: do not draw")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--top-k", task.top_k, "Draw among the k likeliest tokens only; 0: all")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--top-p", task.top_p, "Draw among the likeliest tokens that make up this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", task.seed, "Fixes what is drawn")->capture_default_str();
  command->add_option("--samples", task.samples, "Outputs of each source, drawn; they follow one another")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--batch-rows", task.batch_rows, "Sources that are answered together, at most")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Compute threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->footer(
      "An empty line is an empty source. Without --json a line feed in an output is written as \\n. Outputs appear "
      "each\n"
      "time that 64 batches are answered.");
  command->callback([options, &body] { body = [options] { return run_generate(*options); }; });
}

}  // namespace plumbline
