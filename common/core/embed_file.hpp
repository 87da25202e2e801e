// Files that become part of a program when it is built: PLUMBLINE_EMBED(page_css, FOLDER "/page.css") at the end of a
// .cpp defines std::string_view plumbline::embedded::page_css(). Declare it in a header of the room. CMake has to be
// told that the object depends on the file (OBJECT_DEPENDS).
#pragma once
#include <string_view>

// The assembler copies each file into the read-only section as it stands; no generator, no second copy in the sources.
#define PLUMBLINE_EMBED(name, file)                                                      \
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
