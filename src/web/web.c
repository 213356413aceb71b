/* web.c: the files as the Makefile turned them into numbers (build/gen/web/NAME.inc). */
#include "web/web.h"

static const char css[] = {
#include "web/report.css.inc"
    0
};
static const char js[] = {
#include "web/report.js.inc"
    0
};

const web_file web_report_css = { css, sizeof css - 1 };
const web_file web_report_js = { js, sizeof js - 1 };
