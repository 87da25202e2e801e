#include "coordinator/submit/templates.hpp"

#include "common/core/embed_file.hpp"

PLUMBLINE_EMBED(run_sbatch, TEMPLATE_FOLDER "/run.sbatch.in")
