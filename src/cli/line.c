#include "cli/line.h"

#include <errno.h>
#include <histedit.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { HISTORY_LINES = 500 };

struct line_editor {
    EditLine *editor;
    History *history;
    const char *text;
    char *line;
};

static line_editor *current; /* libedit's prompt callback gets no argument of ours */

static char *prompt_text(EditLine *e)
{
    (void)e;
    return (char *)(uintptr_t)current->text;
}

status line_open(line_editor **out, const char *text, error *err)
{
    line_editor *p = mem_zero(sizeof *p);
    HistEvent event;
    if (!p)
        return fail(err, E_NOMEM, "no memory for the prompt");
    p->text = text;
    p->editor = el_init("hearth", stdin, stdout, stderr);
    p->history = history_init();
    if (!p->editor || !p->history) {
        line_close(&p);
        return fail(err, E_IO, "the terminal cannot be used for input");
    }
    current = p;
    history(p->history, &event, H_SETSIZE, HISTORY_LINES);
    el_set(p->editor, EL_PROMPT, prompt_text);
    el_set(p->editor, EL_EDITOR, "emacs");
    el_set(p->editor, EL_SIGNAL, 0);
    el_set(p->editor, EL_HIST, history, p->history);
    *out = p;
    return OK;
}

line_result line_read(line_editor *p, const char **line)
{
    int n = 0;
    HistEvent event;
    errno = 0;
    const char *text = el_gets(p->editor, &n);
    if (!text || n <= 0) {
        if (errno != EINTR)
            return LINE_END;
        el_reset(p->editor);
        printf("\n");
        return LINE_INTERRUPTED;
    }
    mem_free(p->line);
    p->line = mem_strndup(text, strcspn(text, "\n"));
    if (!p->line)
        return LINE_END;
    if (p->line[0])
        history(p->history, &event, H_ENTER, text);
    *line = p->line;
    return LINE_READ;
}

void line_close(line_editor **at)
{
    line_editor *p = *at;
    if (!p)
        return;
    if (p->editor)
        el_end(p->editor);
    if (p->history)
        history_end(p->history);
    mem_free(p->line);
    mem_free(p);
    *at = NULL;
}
