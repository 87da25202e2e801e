#include "coordinator/report/page.hpp"

#include <string_view>

#include "common/core/check.hpp"
#include "coordinator/aggregate/judged.hpp"
#include "coordinator/report/embedded.hpp"

namespace plumbline {
namespace {

std::string html_escaped(const std::string& text) {
  std::string out;
  for (char c : text) switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  return out;
}

}  // namespace

std::string script_safe(const Json& json) {
  // In JSON '<' occurs inside strings only, where its escape means the same.
  std::string out;
  for (char c : dump_text(json)) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

std::string render_page(const std::string& title, const Json& data) {
  std::string page;
  std::string_view rest = embedded::page_html();
  // One pass over the template, in the template's order: nothing that is put in is searched again.
  const auto put = [&](std::string_view marker, std::string_view text) {
    const std::size_t at = rest.find(marker);
    PLUMBLINE_CHECK(at != std::string_view::npos, "page.html lacks " + std::string(marker));
    page.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + marker.size());
  };
  put("{{title}}", html_escaped(title));
  put("{{style}}", embedded::page_css());
  put("{{data}}", script_safe(data));
  put("{{chart-library}}", embedded::chart_library_js());
  put("{{charts}}", embedded::charts_js());
  put("{{samples}}", embedded::samples_js());
  put("{{page}}", embedded::page_js());
  page.append(rest);
  return page;
}

}  // namespace plumbline
