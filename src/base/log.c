#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static atomic_int chosen_level = -1;

void log_set_level(log_level level)
{
    atomic_store(&chosen_level, (int)level);
}

static int current_level(void)
{
    int level = atomic_load(&chosen_level);
    if (level >= 0)
        return level;
    level = LOG_LEVEL_WARN;
    const char *name = getenv("HEARTH_LOG");
    for (size_t i = 0; name && i < ARRAY_LEN(level_names); i++) {
        if (!strcmp(name, level_names[i]))
            level = (int)i;
    }
    atomic_store(&chosen_level, level);
    return level;
}

void log_line(log_level level, const char *format, ...)
{
    if ((int)level > current_level())
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "hearth: %s: %s\n", level_names[level], text);
}
