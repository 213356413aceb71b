/* tools_int.h: between tools.c, judge.c and embedder.c. */
#ifndef MEASURE_TOOLS_INT_H
#define MEASURE_TOOLS_INT_H

#include "measure/tools.h"

enum { TOOL_TIMEOUT_MS = 300000 };

/* Signatures of grade_tools; `at` is the opened provider. */
status judge_ask(provider *at, const task *t, const grade_question *q, char **answer, error *err);
status embedder_embed(provider *at, const task *t, const char *const *texts, size_t n, float **vectors, size_t *size,
                      error *err);

#endif
