#include "coordinator/report/embedded.hpp"

#include "common/core/embed_file.hpp"

PLUMBLINE_EMBED(page_html, PAGE_FOLDER "/page.html")
PLUMBLINE_EMBED(page_css, PAGE_FOLDER "/page.css")
PLUMBLINE_EMBED(page_js, PAGE_FOLDER "/page.js")
PLUMBLINE_EMBED(charts_js, PAGE_FOLDER "/charts.js")
PLUMBLINE_EMBED(samples_js, PAGE_FOLDER "/samples.js")
PLUMBLINE_EMBED(chart_library_js, CHART_JS)
