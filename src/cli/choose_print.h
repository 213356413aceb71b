/* choose_print.h: what `hearth choose` shows, for people (on standard output) and as JSON (NULL without memory;
 * js_free). */
#ifndef CLI_CHOOSE_PRINT_H
#define CLI_CHOOSE_PRINT_H

#include "base/js.h"
#include "measure/choose.h"
#include "provider/config.h"

void choose_print(const task *t, const choose_row *rows, size_t n, const choose_outcome *o, const config *cfg);
js *choose_js(const task *t, const choose_row *rows, size_t n, const choose_outcome *o);

#endif
