// `plumbline report RUN`: makes a run's report again, from its directory alone.
#include "coordinator/report/report.hpp"

#include <cstdio>
#include <memory>

#include "common/core/json.hpp"
#include "coordinator/aggregate/judged.hpp"
#include "coordinator/command/command.hpp"

namespace plumbline {
namespace {

struct ReportOptions {
  std::string run;
  bool json = false;
};

Status run_report(const ReportOptions& options) {
  const RunLayout layout(options.run);
  PLUMBLINE_TRY(write_report(layout));
  std::error_code ignored;
  const Json answer = {{"report", layout.report().string()},
                       {"finished", std::filesystem::exists(layout.summary(), ignored)}};
  std::printf("%s\n", options.json ? dump_text(answer).c_str() : layout.report().c_str());
  return {};
}

}  // namespace

void add_report(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand(
      "report", "Make a run's report.html again, also while the run is going on, and print its path");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("RUN", options->run, "Run directory")->required();
  command->add_flag("--json", options->json, "Print {\"report\": path, \"finished\": true or false}");
  command->callback([options, &body] { body = [options] { return run_report(*options); }; });
}

}  // namespace plumbline
