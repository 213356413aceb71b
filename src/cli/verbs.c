#include "cli/verbs.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { HELP_BYTES_MAX = 1 << 16 };

static const verb_words *row(const verb_table *t, size_t i)
{
    return (const verb_words *)((const char *)t->rows + i * t->row_bytes);
}

size_t verbs_find(const verb_table *t, const char *name)
{
    size_t i = 0;
    while (i < t->n && strcmp(row(t, i)->name, name) != 0)
        i++;
    return i;
}

int verbs_unknown(const verb_table *t, const char *said)
{
    buf list = BUF_INIT(HELP_BYTES_MAX);
    for (size_t i = 0; i < t->n; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", row(t, i)->name);
    const char *near = said ? str_nearest(said, t->rows, t->n, t->row_bytes) : NULL;
    int code = said ? usage_error(t->command, "'%s' is none of %s%s%s%s", said, buf_text(&list),
                                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "")
                    : usage_error(t->command, "which verb? There are: %s", buf_text(&list));
    buf_clear(&list);
    return code;
}

int verbs_help(const verb_table *t, const verb_help *h, int argc, char **argv)
{
    buf text = BUF_INIT(HELP_BYTES_MAX);
    buf_str(&text, h->before);
    for (size_t i = 0; i < t->n; i++)
        buf_printf(&text, "  %-*s %s\n", h->width, row(t, i)->name, row(t, i)->summary);
    buf_str(&text, h->after);
    const usage u = { h->synopsis, buf_text(&text) };
    size_t n = 0;
    int code = EXIT_OK;
    if (options_read(argc, argv, &u, NULL, 0, &n, &code))
        code = verbs_unknown(t, n ? argv[1] : NULL);
    buf_clear(&text);
    return code;
}
