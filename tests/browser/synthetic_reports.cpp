// Writes made-up runs and their reports under a folder: finished/, running/, bare/. For the browser test, and for
// looking at the page while changing it.
#include <cstdio>
#include <filesystem>

#include "coordinator/report/report.hpp"
#include "tests/coordinator/report/synthetic_run.hpp"

int main(int argc, char** argv) {
  using namespace plumbline;
  if (argc != 2) {
    std::fprintf(stderr, "usage: synthetic_reports FOLDER\n");
    return 2;
  }
  for (const auto& [name, kind] : {std::pair{"finished", SyntheticKind::kFinished},
                                   {"running", SyntheticKind::kRunning},
                                   {"bare", SyntheticKind::kBare}}) {
    const RunLayout layout(std::filesystem::path(argv[1]) / name);
    std::filesystem::remove_all(layout.root());
    Status status = make_synthetic_run(layout.root(), kind);
    if (status.has_value()) status = write_report(layout);
    if (!status.has_value()) {
      std::fprintf(stderr, "%s\n", to_string(status.error()).c_str());
      return 4;
    }
    std::printf("%s\n", layout.report().c_str());
  }
}
