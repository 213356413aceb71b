/* fit_quality.h: what the ledger has measured of models on one task, put beside the rows of `hearth fit`. */
#ifndef CLI_FIT_QUALITY_H
#define CLI_FIT_QUALITY_H

#include "cli/fit_rows.h"

struct config;

/* Fills quality of the rows whose model was measured on the task as it is asked and judged today: a present file by the
 * digest of its weights, anything else (a recording, a model of the catalogue) by its name, alone or with its type
 * ("qwen3-0.6b", "Qwen3-0.6B-Q8_0.gguf"). Of several measurements the newest. No ledger: none was measured. */
status fit_quality_read(fit_rows *rows, const char *task_name, const struct config *cfg, error *err) MUST_CHECK;

#endif
