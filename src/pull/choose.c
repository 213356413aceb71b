/* choose.c: see the header. */
#include "pull/choose.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum { PART_TAIL = 15 /* -00001-of-00004 */, GGUF_TAIL = 5, LISTED_MAX = 24 };

static bool is_gguf(const char *path)
{
    size_t n = strlen(path);
    return n > GGUF_TAIL && strcasecmp(path + n - GGUF_TAIL, ".gguf") == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_model(const char *path)
{
    const char *name = base_name(path);
    return is_gguf(path) && !strcasestr(name, "mmproj") && !strcasestr(name, "imatrix");
}

static bool five_digits(const char *p, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (!isdigit((unsigned char)p[i]))
            return false;
        *out = *out * 10 + (unsigned)(p[i] - '0');
    }
    return true;
}

bool choose_split(const char *path, unsigned *part, unsigned *parts, size_t *stem)
{
    size_t n = strlen(path);
    unsigned k, of;
    if (!is_gguf(path) || n <= PART_TAIL + GGUF_TAIL)
        return false;
    size_t at = n - GGUF_TAIL - PART_TAIL;
    const char *tail = path + at;
    if (tail[0] != '-' || !five_digits(tail + 1, &k) || strncmp(tail + 6, "-of-", 4) != 0 ||
        !five_digits(tail + 10, &of) || k < 1 || k > of || of > CHOOSE_PARTS_MAX)
        return false;
    *part = k;
    *parts = of;
    *stem = at;
    return true;
}

/* ---- quantisations ----------------------------------------------------------------------------------------------- */

static bool edge(char c)
{
    return !isalnum((unsigned char)c);
}

static size_t plain_label(const char *p)
{
    static const char *const names[] = { "bf16", "fp16", "f16", "fp32", "f32", "mxfp4" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncasecmp(p, names[i], strlen(names[i])) == 0)
            return strlen(names[i]);
    return 0;
}

/* The length of the quantisation that begins at p, 0 if none does. */
static size_t label_length(const char *p)
{
    size_t n = plain_label(p);
    if (n)
        return edge(p[n]) ? n : 0;
    n = strncasecmp(p, "iq", 2) == 0 || strncasecmp(p, "tq", 2) == 0 ? 2 : tolower((unsigned char)*p) == 'q' ? 1 : 0;
    if (!n || !isdigit((unsigned char)p[n]))
        return 0;
    while (isdigit((unsigned char)p[n]))
        n++;
    while (p[n] == '_' && isalnum((unsigned char)p[n + 1])) {
        size_t k = n + 1;
        while (isalnum((unsigned char)p[k]))
            k++;
        if (k - n > 4) /* _K _M _XXS _0: longer words are not of the quantisation */
            break;
        n = k;
    }
    return edge(p[n]) ? n : 0;
}

bool choose_label(const char *path, char label[CHOOSE_LABEL])
{
    unsigned part, parts;
    size_t n = strlen(path), found = 0, length = 0;
    if (is_gguf(path) && !choose_split(path, &part, &parts, &n))
        n -= GGUF_TAIL;
    for (size_t i = 0; i < n; i++) {
        size_t k = i == 0 || edge(path[i - 1]) ? label_length(path + i) : 0;
        if (!k || i + k > n)
            continue;
        bool dynamic = i >= 3 && strncasecmp(path + i - 3, "UD-", 3) == 0 && (i == 3 || edge(path[i - 4]));
        found = dynamic ? i - 3 : i;
        length = dynamic ? k + 3 : k;
        i += k - 1;
    }
    if (!length || length >= CHOOSE_LABEL)
        return false;
    size_t out = 0;
    for (size_t i = 0; i < length; i++) {
        char c = (char)toupper((unsigned char)path[found + i]);
        if (c == 'P' && i == 1 && toupper((unsigned char)path[found]) == 'F') /* FP16 is F16 */
            continue;
        label[out++] = c;
    }
    label[out] = 0;
    return true;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

typedef struct model {
    size_t first;       /* index of one of its files */
    size_t stem;        /* length of the path without part number and .gguf */
    unsigned parts;     /* 0: a single file */
    uint64_t bytes;
    char label[CHOOSE_LABEL];
} model;

static bool same_model(const choose_file *files, const model *m, size_t i, unsigned parts, size_t stem)
{
    return m->parts && m->parts == parts && m->stem == stem &&
           strncmp(files[m->first].path, files[i].path, stem) == 0;
}

static model *gather(const choose_file *files, size_t n, size_t *n_models)
{
    model *list = mem_array(n ? n : 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; list && i < n; i++) {
        unsigned part = 0, parts = 0;
        size_t stem = 0, k = 0;
        if (!is_model(files[i].path))
            continue;
        if (!choose_split(files[i].path, &part, &parts, &stem))
            stem = strlen(files[i].path) - GGUF_TAIL;
        while (k < count && !same_model(files, &list[k], i, parts, stem))
            k++;
        if (k == count) {
            list[count++] = (model){ .first = i, .stem = stem, .parts = parts };
            if (!choose_label(files[i].path, list[k].label))
                list[k].label[0] = 0;
        }
        list[k].bytes += files[i].bytes;
    }
    *n_models = count;
    return list;
}

static void add_listed(buf *text, const choose_file *files, const model *m)
{
    char size[24];
    buf_printf(text, "%s%.*s", text->len ? ", " : "", (int)m->stem, files[m->first].path);
    if (m->bytes)
        buf_printf(text, " (%s%s)", str_human_bytes(size, m->bytes), m->parts ? ", in parts" : "");
}

/* The list as a sentence that fits into an error: full while there is room, then a count. */
static status listed(const choose_file *files, const model *list, size_t n, const char *where, const char *why,
    error *err)
{
    buf text = BUF_INIT(ERROR_TEXT_BYTES);
    size_t shown = 0;
    while (shown < n && shown < LISTED_MAX && text.len < 640)
        add_listed(&text, files, &list[shown++]);
    if (shown < n)
        buf_printf(&text, " and %zu more", n - shown);
    status s = fail(err, E_NOTFOUND, "%s: %s: %s", where, why, buf_text(&text));
    buf_clear(&text);
    return s;
}

static bool meant(const choose_file *files, const model *m, const char *want, bool loose)
{
    const char *path = files[m->first].path;
    if (is_gguf(want)) {
        unsigned part, parts;
        size_t stem = strlen(want) - GGUF_TAIL;
        if (m->parts)
            choose_split(want, &part, &parts, &stem);
        return stem == m->stem && strncmp(path, want, stem) == 0;
    }
    const char *label = loose && strncmp(m->label, "UD-", 3) == 0 ? m->label + 3 : m->label;
    return strcasecmp(label, want) == 0;
}

/* SIZE_MAX: none; *several: more than one. */
static size_t find(const choose_file *files, const model *list, size_t n, const char *want, bool *several)
{
    *several = false;
    for (int loose = 0; loose < 2; loose++) {
        size_t at = SIZE_MAX;
        for (size_t i = 0; i < n; i++)
            if (meant(files, &list[i], want, loose)) {
                *several = at != SIZE_MAX;
                at = i;
            }
        if (at != SIZE_MAX)
            return at;
    }
    return SIZE_MAX;
}

static status in_order(const choose_file *files, size_t n, const model *m, const char *where, size_t **out,
    size_t *n_out, error *err)
{
    size_t count = m->parts ? m->parts : 1;
    size_t *at = mem_array(count, sizeof *at);
    if (!at)
        return fail(err, E_NOMEM, "no memory for a list of files");
    for (size_t k = 0; k < count; k++)
        at[k] = m->parts ? SIZE_MAX : m->first;
    for (size_t i = 0; m->parts && i < n; i++) {
        unsigned part, parts;
        size_t stem;
        if (is_model(files[i].path) && choose_split(files[i].path, &part, &parts, &stem) &&
            same_model(files, m, i, parts, stem))
            at[part - 1] = i;
    }
    for (size_t k = 0; k < count; k++)
        if (at[k] == SIZE_MAX) {
            mem_free(at);
            return fail(err, E_NOTFOUND, "%s: part %zu of the %zu of %.*s is missing", where, k + 1, count,
                (int)m->stem, files[m->first].path);
        }
    *out = at;
    *n_out = count;
    return OK;
}

status choose_model(const choose_file *files, size_t n, const char *want, const char *where, size_t **out,
    size_t *n_out, error *err)
{
    size_t count = 0, at = 0;
    bool several = false;
    char why[128];
    model *list = gather(files, n, &count);
    status s = OK;
    if (!list)
        return fail(err, E_NOMEM, "no memory for a list of models");
    if (count == 0)
        s = fail(err, E_NOTFOUND, "%s: there is no GGUF file in it", where);
    else if (want || count > 1)
        at = find(files, list, count, want ? want : "Q4_K_M", &several);
    if (!s && several) {
        s = listed(files, list, count, where, "several models are in that quantisation; name the file, with .gguf",
            err);
    } else if (!s && at == SIZE_MAX) {
        snprintf(why, sizeof why, "%s%.60s%s", want ? "there is no '" : "name the one that is meant",
            want ? want : "", want ? "'; there are" : "");
        s = listed(files, list, count, where, why, err);
    }
    if (!s)
        s = in_order(files, n, &list[at], where, out, n_out, err);
    mem_free(list);
    return s;
}
