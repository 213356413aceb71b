/* pull_draw.c: see the header. */
#include "cli/pull_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/progress.h"

enum { BAR_CELLS = 24, NAME_CELLS = 32 };

void pull_draw_init(pull_draw *d)
{
    *d = (pull_draw){ .terminal = cli_is_terminal(STDERR_FILENO) };
}

void pull_draw_end(pull_draw *d)
{
    if (d->drawn)
        fprintf(stderr, "\r\033[K");
    d->drawn = false;
}

/* The file's name, with what a stranger may have put into it made harmless. */
static void short_name(char out[NAME_CELLS + 1], const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(out, NAME_CELLS + 1, "%s", name);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
            *p = '?';
}

static void draw_bar(pull_draw *d, const char *path, uint64_t done, uint64_t total, double rate)
{
    char name[NAME_CELLS + 1], have[24], all[24], speed[24], eta[24], bar[BAR_CELLS + 1], line[256];
    short_name(name, path);
    str_human_bytes(have, done);
    str_human_bytes(all, total);
    str_human_bytes(speed, (uint64_t)(rate > 0 ? rate : 0));
    if (total) {
        size_t full = (size_t)((double)(done < total ? done : total) / (double)total * BAR_CELLS);
        memset(bar, '.', BAR_CELLS);
        memset(bar, '#', full);
        bar[BAR_CELLS] = 0;
        progress_left(eta, rate > 0 ? (double)(total - done) / rate : HUGE_VAL);
        snprintf(line, sizeof line, "%s [%s] %3d %% of %s  %s/s  %s left", name, bar,
                 (int)((double)done * 100 / (double)total), all, speed, eta);
    } else {
        snprintf(line, sizeof line, "%s  %s  %s/s", name, have, speed);
    }
    fprintf(stderr, "\r%.*s\033[K", cli_columns(STDERR_FILENO) - 1, line);
    fflush(stderr);
    d->drawn = true;
}

void pull_draw_progress(pull_draw *d, const js *progress)
{
    int64_t done = 0, total = 0;
    double rate = 0;
    const char *path = js_text(js_get(progress, "file")), *note = js_text(js_get(progress, "note"));
    (void)js_int(js_get(progress, "done"), &done);
    (void)js_int(js_get(progress, "total"), &total);
    (void)js_double(js_get(progress, "rate"), &rate);
    if (note) {
        pull_draw_end(d);
        for (const char *p = note; *p; p++)
            fputc((unsigned char)*p < ' ' || *p == 127 ? '?' : *p, stderr);
        fputc('\n', stderr);
    } else if (d->terminal && path && done >= 0 && total >= 0) {
        draw_bar(d, path, (uint64_t)done, (uint64_t)(total && total < done ? done : total), rate);
    }
}
