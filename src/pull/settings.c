/* settings.c: the environment, and pip's configuration files (the form of Python's configparser). */
#include "pull/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/file.h"
#include "pull/link.h"

enum { CONFIG_MAX = 1 << 20, VALUE_MAX = 16384 };

/* The keys of pip's files that matter here; what is found first stays. */
enum { INDEX, EXTRA, NO_INDEX, CERT, KEYS };
static const char *const key_names[KEYS] = { "index-url", "extra-index-url", "no-index", "cert" };

typedef struct found {
    char *value[KEYS];
} found;

static void found_clear(found *f)
{
    for (int i = 0; i < KEYS; i++)
        mem_free(f->value[i]);
    *f = (found){ 0 };
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* ---- pip's files ------------------------------------------------------------------------------------------------- */

/* Sections by rank: what belongs to a command outranks what belongs to all. -1: another command's. */
static int section_rank(span name)
{
    static const char *const ranks[] = { "download", "install", "global" };
    for (int i = 0; i < (int)ARRAY_LEN(ranks); i++)
        if (span_is(name, ranks[i]))
            return i;
    return -1;
}
enum { RANKS = 3 };

typedef struct ini {
    found by_rank[RANKS];
    int rank;     /* of the section that is read */
    char **value; /* the key that is read, for lines that continue it; NULL: none of ours */
} ini;

static int key_at(span name)
{
    for (int i = 0; i < KEYS; i++) {
        size_t k = 0;
        for (; k < name.n && key_names[i][k]; k++) {
            char c = (char)tolower((unsigned char)name.p[k]);
            if ((c == '_' ? '-' : c) != key_names[i][k])
                break;
        }
        if (k == name.n && !key_names[i][k])
            return i;
    }
    return -1;
}

/* Adds a line to a value: lines are kept apart by a blank, which no URL has. */
static status add_value(char **value, span more, const char *where, error *err)
{
    buf text = BUF_INIT(VALUE_MAX);
    if (*value)
        buf_printf(&text, "%s ", *value);
    buf_add(&text, more.p, more.n);
    status s = buf_ok(&text, where, err);
    char *whole = s ? NULL : buf_take(&text);
    buf_clear(&text);
    if (!s && !whole)
        return fail(err, E_NOMEM, "%s: no memory for its settings", where);
    if (!s) {
        mem_free(*value);
        *value = whole;
    }
    return s;
}

static status read_line(ini *in, span line, const char *where, int number, error *err)
{
    span text = span_trim(line);
    if (!text.n || *text.p == '#' || *text.p == ';')
        return OK;
    if (*line.p == ' ' || *line.p == '\t')
        return in->value ? add_value(in->value, text, where, err) : OK;
    in->value = NULL;
    if (*text.p == '[') {
        if (text.p[text.n - 1] != ']')
            return fail(err, E_FORMAT, "%s:%d: a section's name ends with ]", where, number);
        in->rank = section_rank((span){ text.p + 1, text.n - 2 });
        return OK;
    }
    size_t at = 0;
    while (at < text.n && text.p[at] != '=' && text.p[at] != ':')
        at++;
    if (at == text.n)
        return fail(err, E_FORMAT, "%s:%d: 'key = value' is expected", where, number);
    int key = key_at(span_trim((span){ text.p, at }));
    if (key < 0 || in->rank < 0)
        return OK;
    in->value = &in->by_rank[in->rank].value[key];
    mem_free(*in->value);
    *in->value = NULL;
    return add_value(in->value, span_trim((span){ text.p + at + 1, text.n - at - 1 }), where, err);
}

static void keep_first(found *f, found *more)
{
    for (int i = 0; i < KEYS; i++)
        if (!f->value[i]) {
            f->value[i] = more->value[i];
            more->value[i] = NULL;
        }
}

static status read_ini(found *f, const char *text, const char *where, error *err)
{
    ini in = { .rank = -1 };
    status s = OK;
    int number = 1;
    for (const char *p = text; !s && *p; number++) {
        size_t n = strcspn(p, "\n");
        s = read_line(&in, (span){ p, n }, where, number, err);
        p += n + (p[n] == '\n');
    }
    for (int i = 0; i < RANKS; i++) {
        if (!s)
            keep_first(f, &in.by_rank[i]);
        found_clear(&in.by_rank[i]);
    }
    return s;
}

/* DIR/TAIL; not there or closed to us: nothing. */
static status read_file(found *f, const char *dir, const char *tail, error *err)
{
    buf path = BUF_INIT(4096), text = BUF_INIT(CONFIG_MAX);
    error why = { 0 };
    buf_printf(&path, "%s%s", dir, tail);
    status s = buf_ok(&path, "a configuration file's path", err);
    if (!s) {
        status r = file_slurp(path.data, &text, &why);
        if (r == OK)
            s = read_ini(f, buf_text(&text), path.data, err);
        else if (r == E_RANGE || r == E_NOMEM)
            s = fail(err, r, "%s", why.text);
    }
    buf_clear(&path);
    buf_clear(&text);
    return s;
}

/* From the one that outranks the others down. */
static status read_pip_files(found *f, error *err)
{
    const char *named = env("PIP_CONFIG_FILE"), *venv = env("VIRTUAL_ENV"), *home = env("HOME");
    const char *xdg = env("XDG_CONFIG_HOME"), *dirs = env("XDG_CONFIG_DIRS");
    if (named && strcmp(named, "/dev/null") == 0) /* pip's way to say: no file at all */
        return OK;
    status s = named ? read_file(f, named, "", err) : OK;
    if (!s && venv)
        s = read_file(f, venv, "/pip.conf", err);
    if (!s && (xdg || home))
        s = read_file(f, xdg ? xdg : home, xdg ? "/pip/pip.conf" : "/.config/pip/pip.conf", err);
    if (!s && home)
        s = read_file(f, home, "/.pip/pip.conf", err);
    if (!s)
        s = read_file(f, "/etc/pip.conf", "", err);
    for (const char *p = dirs ? dirs : "/etc/xdg"; !s && *p;) {
        char dir[1024];
        size_t n = strcspn(p, ":");
        if (n > 0 && n < sizeof dir && *p == '/') {
            memcpy(dir, p, n);
            dir[n] = 0;
            s = read_file(f, dir, "/pip/pip.conf", err);
        }
        p += n + (p[n] == ':');
    }
    return s;
}

/* ---- what follows ------------------------------------------------------------------------------------------------ */

/* An URL without slashes at its end. */
static status checked_url(char **out, span text, const char *where, error *err)
{
    while (text.n && text.p[text.n - 1] == '/')
        text.n--;
    char *url = mem_strndup(text.p, text.n);
    link_parts parts;
    if (!url)
        return fail(err, E_NOMEM, "no memory for %s", where);
    if (!link_split(url, &parts) || parts.query.n || parts.fragment.n) {
        mem_free(url);
        return fail(err, E_FORMAT, "%s: an http(s) URL is expected", where); /* it may hold a password: not shown */
    }
    *out = url;
    return OK;
}

/* URLs apart by blanks; uv writes NAME=URL for an index with a name. Twice the same counts once. */
static status add_indexes(pull_settings *s, const char *list, const char *where, error *err)
{
    status r = OK;
    for (span rest = span_of(list); !r;) {
        rest = span_trim(rest);
        span item = { rest.p, 0 };
        while (item.n < rest.n && !isspace((unsigned char)item.p[item.n]))
            item.n++;
        if (!item.n)
            break;
        rest.p += item.n, rest.n -= item.n;
        const char *is = memchr(item.p, '=', item.n), *scheme = memmem(item.p, item.n, "://", 3);
        if (is && scheme && is < scheme) {
            item.n -= (size_t)(is + 1 - item.p);
            item.p = is + 1;
        }
        char *url = NULL;
        r = checked_url(&url, item, where, err);
        bool twice = false;
        for (size_t i = 0; !r && i < s->n_indexes; i++)
            twice = twice || strcmp(s->indexes[i], url) == 0;
        if (!r && !twice && s->n_indexes == PULL_INDEXES_MAX)
            r = fail(err, E_RANGE, "%s: more than %d indexes", where, (int)PULL_INDEXES_MAX);
        if (!r && !twice)
            s->indexes[s->n_indexes++] = url;
        else
            mem_free(url);
    }
    return r;
}

static bool says_yes(const char *v)
{
    static const char *const yes[] = { "1", "true", "yes", "on", "y", "t" };
    for (size_t i = 0; v && i < ARRAY_LEN(yes); i++)
        if (strcasecmp(v, yes[i]) == 0)
            return true;
    return false;
}

typedef struct named {
    const char *name, *value;
} named;

static status read_indexes(pull_settings *s, const found *f, error *err)
{
    const named first[] = { { "PIP_INDEX_URL", env("PIP_INDEX_URL") }, { "UV_DEFAULT_INDEX", env("UV_DEFAULT_INDEX") },
                            { "UV_INDEX_URL", env("UV_INDEX_URL") }, { "pip.conf: index-url", f->value[INDEX] },
                            { "the default", "https://pypi.org/simple" } };
    const char *pip_extra = env("PIP_EXTRA_INDEX_URL");
    const named more[] = { { "PIP_EXTRA_INDEX_URL", pip_extra }, { "UV_INDEX", env("UV_INDEX") },
                           { "UV_EXTRA_INDEX_URL", env("UV_EXTRA_INDEX_URL") },
                           { "pip.conf: extra-index-url", pip_extra ? NULL : f->value[EXTRA] } };
    const char *off = env("PIP_NO_INDEX");
    s->no_index = says_yes(off ? off : f->value[NO_INDEX]);
    status r = OK;
    for (size_t i = 0; !r && i < ARRAY_LEN(first) && !s->n_indexes; i++)
        if (first[i].value)
            r = add_indexes(s, first[i].value, first[i].name, err);
    for (size_t i = 0; !r && i < ARRAY_LEN(more); i++)
        if (more[i].value)
            r = add_indexes(s, more[i].value, more[i].name, err);
    return r;
}

/* HF_TOKEN, or the file of HF_TOKEN_PATH, HF_HOME/token, XDG_CACHE_HOME/huggingface/token, ~/.cache/… */
static status read_token(pull_settings *s, error *err)
{
    const char *token = env("HF_TOKEN"), *home = env("HOME"), *where = "HF_TOKEN";
    buf path = BUF_INIT(4096), text = BUF_INIT(2 * PULL_TOKEN_MAX);
    status r = OK;
    if (!token) {
        if (env("HF_TOKEN_PATH"))
            buf_str(&path, env("HF_TOKEN_PATH"));
        else if (env("HF_HOME"))
            buf_printf(&path, "%s/token", env("HF_HOME"));
        else if (env("XDG_CACHE_HOME"))
            buf_printf(&path, "%s/huggingface/token", env("XDG_CACHE_HOME"));
        else if (home)
            buf_printf(&path, "%s/.cache/huggingface/token", home);
        where = buf_text(&path);
        if (path.len && !path.failed && file_slurp(where, &text, NULL) == OK)
            token = buf_text(&text);
    }
    span t = span_trim(span_of(token ? token : ""));
    for (size_t i = 0; !r && i < t.n; i++)
        if (t.p[i] <= ' ' || t.p[i] >= 0x7f || t.n > PULL_TOKEN_MAX)
            r = fail(err, E_FORMAT, "%s: that is no token", where);
    if (!r && t.n && !(s->token = mem_strndup(t.p, t.n)))
        r = fail(err, E_NOMEM, "no memory for a token");
    buf_clear(&path);
    buf_clear(&text);
    return r;
}

status pull_settings_read(pull_settings *out, error *err)
{
    pull_settings s = { 0 };
    found f = { 0 };
    const char *hub = env("HF_ENDPOINT");
    status r = read_pip_files(&f, err);
    if (!r)
        r = read_indexes(&s, &f, err);
    if (!r)
        r = checked_url(&s.hub, span_of(hub ? hub : "https://huggingface.co"), "HF_ENDPOINT", err);
    if (!r)
        r = read_token(&s, err);
    s.cert = f.value[CERT];
    f.value[CERT] = NULL;
    found_clear(&f);
    if (r)
        pull_settings_clear(&s);
    else
        *out = s;
    return r;
}

void pull_settings_clear(pull_settings *s)
{
    for (size_t i = 0; i < s->n_indexes; i++)
        mem_free(s->indexes[i]);
    mem_free(s->hub);
    mem_free(s->token);
    mem_free(s->cert);
    *s = (pull_settings){ 0 };
}
