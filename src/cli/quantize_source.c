#include "cli/quantize_source.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "import/import.h"
#include "plat/file.h"
#include "store/store.h"

/* ---- a process that is ended ---- */

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
static char *volatile doomed[3]; /* what on_end removes: only it and what arms it know of this */

/* Removes, and ends the process as if nobody had listened. */
static void on_end(int sig)
{
    for (size_t i = 0; i < ARRAY_LEN(doomed); i++)
        if (doomed[i])
            unlink(doomed[i]);
    raise(sig); /* SA_RESETHAND: it is delivered when this returns */
}

static void arm(const quantize_source *s)
{
    struct sigaction old, now = { .sa_handler = on_end, .sa_flags = SA_RESETHAND };
    doomed[0] = s->made;
    doomed[1] = s->part;
    doomed[2] = s->guard;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(ends[i], &now, NULL);
}

static void disarm(void)
{
    struct sigaction old;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == on_end)
            signal(ends[i], SIG_DFL);
    for (size_t i = 0; i < ARRAY_LEN(doomed); i++)
        doomed[i] = NULL;
}

/* ---- what is meant ---- */

static bool is_to_import(const char *model)
{
    struct stat st;
    char config[4096];
    if (stat(model, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode))
        return str_ends(model, ".safetensors") || str_ends(model, ".onnx");
    int n = snprintf(config, sizeof config, "%s/config.json", model);
    bool has_config = n > 0 && (size_t)n < sizeof config && access(config, F_OK) == 0;
    return S_ISDIR(st.st_mode) && (has_config || strchr(model, '/'));
}

static status make(quantize_source *s, const char *from, const char *out, error *err)
{
    import_report made;
    s->made = mem_strjoin(out, ".import");
    s->part = mem_strjoin(out, ".import.part");
    s->guard = mem_strjoin(out, ".import.lock");
    s->path = s->made ? mem_strdup(s->made) : NULL;
    if (!s->part || !s->guard || !s->path)
        return fail(err, E_NOMEM, "no memory for a path");
    status st = file_open_locked(&s->lock, s->guard, 0644, err);
    if (st)
        return st;
    arm(s);
    return import_model(from, s->made, NULL, &made, err);
}

status quantize_source_open(quantize_source *s, const char *model, const char *out, bool replace, error *err)
{
    status st;
    *s = (quantize_source){ .lock = -1 };
    if (!is_to_import(model))
        st = store_find(&s->path, model, err);
    else if (!replace && access(out, F_OK) == 0)
        st = fail(err, E_EXISTS, "%s is there already (--force replaces it)", out);
    else
        st = make(s, model, out, err);
    if (st)
        quantize_source_close(s);
    return st;
}

void quantize_source_close(quantize_source *s)
{
    if (s->guard && s->lock >= 0) { /* only who has the lock removes anything */
        unlink(s->made);
        unlink(s->part);
        unlink(s->guard);
        disarm();
        close(s->lock);
    }
    mem_free(s->path);
    mem_free(s->made);
    mem_free(s->part);
    mem_free(s->guard);
    *s = (quantize_source){ .lock = -1 };
}
