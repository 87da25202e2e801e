// `plumbline refine MODEL --data DIR --out FILE`: a model's own outputs, judged, as examples for `curate`.
#include "coordinator/refine/refine.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "coordinator/command/command.hpp"
#include "coordinator/command/progress_line.hpp"

namespace plumbline {
namespace {

struct RefineCommand {
  RefineOptions options;
  std::string model, data, out;
  bool given = false, json = false;
};

std::string percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? "none" : fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

Status run_refine(RefineCommand command) {
  RefineOptions& options = command.options;
  options.model = command.model;
  options.data = command.data;
  options.out = command.out;
  options.desired = command.given ? Desired::kGiven : Desired::kBest;
  ProgressLine line("sampled for");
  PLUMBLINE_ASSIGN(const RefineCounts counts,
                   refine(options, [&](std::int64_t done, std::int64_t all) { line.show(done, all); }));
  if (command.json) {
    const Json answer = {{"out", command.out},
                         {"sources", counts.sources},
                         {"outputs", counts.outputs},
                         {"accepted", counts.accepted},
                         {"rejected", counts.rejected},
                         {"preferences", counts.preferences},
                         {"demonstrations", counts.demonstrations},
                         {"prohibitions", counts.prohibitions},
                         {"skipped", counts.skipped},
                         {"desired_own", counts.desired_own}};
    std::printf("%s\n", to_line(answer).c_str());
    return {};
  }
  std::printf("%s", fmt::format("{} outputs for {} sources: the judge accepts {} and rejects {} (the rest is empty or "
                                "was cut)\n"
                                "{} preferences, {} demonstrations, {} prohibitions; {} sources gave no example\n"
                                "{} desired outputs are the model's own\n"
                                "{}\n",
                                counts.outputs, counts.sources, percent(counts.accepted, counts.outputs),
                                percent(counts.rejected, counts.outputs), counts.preferences, counts.demonstrations,
                                counts.prohibitions, counts.skipped, counts.desired_own, command.out)
                        .c_str());
  return {};
}

}  // namespace

void add_refine(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand(
      "refine", "Let a model answer training sources several times, judge its outputs, and write them as examples");
  auto options = std::make_shared<RefineCommand>();
  RefineOptions& refine = options->options;
  command
      ->add_option("MODEL", options->model,
                   "Run directory (its newest checkpoint), or a folder with config.json and model.safetensors")
      ->required();
  command->add_option("--data", options->data, "Dataset whose training sources are answered, and whose judge decides")
      ->required();
  command->add_option("--out", options->out, "File for the examples (JSON lines; `curate` takes them as they are)")
      ->required();
  command->add_option("--norm", refine.norm, "Norm, where the dataset has several");
  command->add_option("--samples", refine.samples, "Outputs of each source; the first is the greedy one")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--temperature", refine.temperature, "Above 1: more varied; below: closer to the greedy output")
      ->check(CLI::Range(0.01, 100.0))
      ->capture_default_str();
  command->add_option("--top-k", refine.top_k, "Sample among the k likeliest tokens only; 0: all")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--top-p", refine.top_p, "Sample among the likeliest tokens that make up this probability")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  command->add_option("--max-new-tokens", refine.max_new_tokens, "Longest output")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command->add_option("--examples", refine.examples, "Sources at most, drawn by the seed; 0: all")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_option("--seed", refine.seed, "Fixes what is drawn and sampled")->capture_default_str();
  command->add_flag("--given", options->given,
                    "Take the dataset's desired output, where it has one, over the model's best");
  command->add_flag("--repair", refine.repair,
                    "Alignments: set each rejected output against the same output with its first mistake mended and "
                    "the rest written anew, valid by construction");
  command->add_option("--workers", refine.workers, "Worker processes")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--batch-rows", refine.batch_rows, "Sources that are answered together")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command->add_flag("--replace", refine.replace, "Put the new examples in the place of earlier ones");
  command->add_flag("--json", options->json, "Print the counts as one JSON object");
  command->footer(
      "A source with an output that the judge accepts and one that it rejects becomes a preference. Interrupted, the\n"
      "same command goes on where it was; what is sampled does not depend on the number of workers.");
  command->callback([options, &body] { body = [options] { return run_refine(*options); }; });
}

}  // namespace plumbline
