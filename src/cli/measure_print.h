/* measure_print.h: what `hearth measure` shows of its results, for people (on standard output) and as JSON (NULL
 * without memory; js_free). */
#ifndef CLI_MEASURE_PRINT_H
#define CLI_MEASURE_PRINT_H

#include "base/js.h"
#include "measure/measure.h"
#include "task/task.h"

void measure_print_result(const task *t, const provider_info *who, const measure_result *r);
js *measure_result_js(const task *t, const provider_info *who, const measure_result *r);

/* Of all arms of a run together; arms as they were given to measure_arms. */
void measure_print_outcome(const task *t, const measure_arm *arms, const measure_outcome *o);
js *measure_outcome_js(const task *t, const measure_arm *arms, const measure_outcome *o);

#endif
