// The page's files, embedded when the program is built.
#pragma once
#include <string_view>

namespace plumbline::embedded {
std::string_view page_html();
std::string_view page_css();
std::string_view page_js();
std::string_view charts_js();
std::string_view samples_js();
std::string_view chart_library_js();  ///< Chart.js 3 (MIT), minified
}  // namespace plumbline::embedded
