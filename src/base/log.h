/* log.h: diagnostics to stderr, one line each. Any thread. Never holds request text: say what happened, not what was in
 * it. HEARTH_LOG=error|warn|info|debug (default warn). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/status.h"

typedef enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } log_level;

void log_set_level(log_level level);
void log_line(log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
