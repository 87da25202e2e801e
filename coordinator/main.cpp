// `plumbline`: the command line and the coordinator. Only wires: each subcommand stands in command/.
#include <cstdio>

#include "coordinator/command/command.hpp"
#include "coordinator/inspect/table.hpp"

int main(int argc, char** argv) {
  using namespace plumbline;
  CLI::App app{"Plumbline aligns encoder-decoder models (the T5 family) to norms, from curated examples."};
  app.require_subcommand(1);
  app.set_version_flag("--version", "plumbline 0.1.0");
  CommandBody body;
  add_quickstart(app, body);
  add_curate(app, body);
  add_inspect(app, body);
  add_train(app, body);
  add_resume(app, body);
  add_submit(app, body);
  add_status(app, body);
  add_logs(app, body);
  add_stop(app, body);
  add_generate(app, body);
  add_refine(app, body);
  add_report(app, body);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = app.exit(e);
    return status == 0 ? 0 : static_cast<int>(ErrorCode::kUsage);
  }
  const Status status = body();
  if (status.has_value()) return 0;
  std::fprintf(stderr, "plumbline: %s\n", printable_lines(to_string(status.error())).c_str());
  return static_cast<int>(status.error().code);
}
