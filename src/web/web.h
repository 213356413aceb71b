/* web.h: files of web pages, built into the program: src/web/NAME, each with a zero behind it. Any thread. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include <stddef.h>

typedef struct web_file {
    const char *text;
    size_t n;
} web_file;

extern const web_file web_report_css, web_report_js;

#endif
