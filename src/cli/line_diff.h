/* line_diff.h: which lines two texts have in common: the longest common subsequence. Pure. */
#ifndef CLI_LINE_DIFF_H
#define CLI_LINE_DIFF_H

#include <stddef.h>

#include "base/status.h"

/* One line of either text, without its break; mark: ' ' both, '-' only the first, '+' only the second. */
typedef void line_diff_fn(void *user, char mark, const char *line, size_t bytes);

/* Texts so long and so different that comparing them would take more than 4 million steps are told as all of one and
 * then all of the other, between what they begin and end with. E_NOMEM. */
status line_diff(const char *a, const char *b, line_diff_fn *fn, void *user, error *err) MUST_CHECK;

#endif
