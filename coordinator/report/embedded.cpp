#include "coordinator/report/embedded.hpp"

// The assembler copies each file into the read-only section as it stands; no generator, no second copy in the sources.
#define EMBED(name, file)                                                                \
  __asm__(                                                                               \
      ".pushsection .rodata\n"                                                           \
      ".balign 16\n"                                                                     \
      "plumbline_" #name                                                                 \
      "_begin:\n"                                                                        \
      ".incbin \"" file                                                                  \
      "\"\n"                                                                             \
      "plumbline_" #name                                                                 \
      "_end:\n"                                                                          \
      ".byte 0\n"                                                                        \
      ".popsection\n");                                                                  \
  extern "C" {                                                                           \
  extern const char plumbline_##name##_begin[];                                          \
  extern const char plumbline_##name##_end[];                                            \
  }                                                                                      \
  namespace plumbline::embedded {                                                        \
  std::string_view name() { return {plumbline_##name##_begin, plumbline_##name##_end}; } \
  }

EMBED(page_html, PAGE_FOLDER "/page.html")
EMBED(page_css, PAGE_FOLDER "/page.css")
EMBED(page_js, PAGE_FOLDER "/page.js")
EMBED(charts_js, PAGE_FOLDER "/charts.js")
EMBED(samples_js, PAGE_FOLDER "/samples.js")
EMBED(chart_library_js, CHART_JS)
