#include "common/core/result.hpp"

namespace plumbline {

std::string to_string(const Error& error) {
  std::string text;
  if (!error.where.empty()) text += error.where + ": ";
  text += error.message;
  if (!error.hint.empty()) text += "\n  " + error.hint;
  return text;
}

}  // namespace plumbline
