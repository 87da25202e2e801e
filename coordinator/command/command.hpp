// The command line: one file a subcommand, each with one function that adds itself to the application. The callback of
// a subcommand does the work and returns a Status; main() prints the error and maps it to the exit status.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>

#include "common/core/result.hpp"

namespace plumbline {

/// What the chosen subcommand will run; set by its CLI11 callback.
using CommandBody = std::function<Status()>;

void add_quickstart(CLI::App& app, CommandBody& body);
void add_curate(CLI::App& app, CommandBody& body);
void add_inspect(CLI::App& app, CommandBody& body);
void add_train(CLI::App& app, CommandBody& body);
void add_resume(CLI::App& app, CommandBody& body);
void add_submit(CLI::App& app, CommandBody& body);
void add_status(CLI::App& app, CommandBody& body);
void add_logs(CLI::App& app, CommandBody& body);
void add_stop(CLI::App& app, CommandBody& body);
void add_generate(CLI::App& app, CommandBody& body);
void add_refine(CLI::App& app, CommandBody& body);
void add_report(CLI::App& app, CommandBody& body);

}  // namespace plumbline
