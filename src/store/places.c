/* places.c: where other programs keep models, as a table. Sources:
 *   hf        https://huggingface.co/docs/hub/local-cache (HF_HUB_CACHE, HF_HOME; the default follows XDG_CACHE_HOME,
 *             and HUGGINGFACE_HUB_CACHE is the older name: huggingface_hub's constants.py)
 *   ollama    https://github.com/ollama/ollama/blob/main/docs/faq.md, "Where are models stored?": OLLAMA_MODELS; of
 *             the user ~/.ollama/models, of the system service /usr/share/ollama/.ollama/models
 *   lmstudio  https://github.com/lmstudio-ai/lms, src/modelsFolder.ts: `downloadsFolder` of settings.json in LM
 *             Studio's home, which ~/.lmstudio-home-pointer names; otherwise models/ of the home: ~/.lmstudio, earlier
 *             ~/.cache/lm-studio */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/store_int.h"

enum { ROOTS_MAX = 6 };

/* One more folder of a place: $env followed by tail (env "": tail alone). */
typedef struct root_row {
    const char *env, *tail;
    bool only;   /* where env is set nothing after it counts */
    bool points; /* a file that names LM Studio's home */
} root_row;

static const struct place {
    const char *name, *title;
    status (*scan)(store_scan *s);
    root_row roots[ROOTS_MAX];
} places[] = {
    [STORE_MODELS] = { .name = "models", .title = "the models directory" },
    [STORE_HF] = { "hf", "the Hugging Face cache", store_scan_hf,
                   { { "HF_HUB_CACHE", "", true, false },
                     { "HUGGINGFACE_HUB_CACHE", "", true, false },
                     { "HF_HOME", "/hub", true, false },
                     { "XDG_CACHE_HOME", "/huggingface/hub", true, false },
                     { "HOME", "/.cache/huggingface/hub", true, false } } },
    [STORE_OLLAMA] = { "ollama", "Ollama's store", store_scan_ollama,
                       { { "OLLAMA_MODELS", "", true, false },
                         { "HOME", "/.ollama/models", false, false },
                         { "", "/usr/share/ollama/.ollama/models", false, false } } },
    [STORE_LMSTUDIO] = { "lmstudio", "LM Studio's folder", store_scan_lmstudio,
                         { { "HOME", "/.lmstudio-home-pointer", false, true },
                           { "HOME", "/.lmstudio/models", false, false },
                           { "HOME", "/.cache/lm-studio/models", false, false } } },
    [STORE_PATH] = { .name = "path", .title = "a path" },
};

const char *store_place_name(store_place p)
{
    return places[p].name;
}

const char *store_place_title(store_place p)
{
    return places[p].title;
}

store_place store_prefix(const char *model)
{
    const char *colon = strchr(model, ':');
    for (size_t i = STORE_MODELS + 1; colon && i < STORE_PATH; i++)
        if (strlen(places[i].name) == (size_t)(colon - model) &&
            strncmp(model, places[i].name, (size_t)(colon - model)) == 0)
            return (store_place)i;
    return STORE_PATH;
}

bool store_is_place(const char *model)
{
    return store_prefix(model) != STORE_PATH;
}

/* HEARTH_PLACES: names with commas; not set: all. */
static bool is_wanted(const char *name)
{
    const char *list = getenv("HEARTH_PLACES");
    size_t n = strlen(name);
    if (!list)
        return true;
    for (const char *p = list; (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ',') && (!p[n] || p[n] == ','))
            return true;
    return false;
}

/* ---- LM Studio's home ---- */

/* `downloadsFolder` of its settings, if they say one. */
static bool read_settings(const char *path, char out[STORE_PATH_MAX])
{
    buf text = BUF_INIT(STORE_TEXT_MAX);
    js *settings = NULL;
    bool ok = store_read_small(path, &text) &&
              js_parse(&settings, buf_text(&text), text.len, path, 1, NULL) == OK;
    const char *folder = ok ? js_text(js_get(settings, "downloadsFolder")) : NULL;
    ok = folder && folder[0] == '/' && strlen(folder) < STORE_PATH_MAX;
    if (ok)
        memcpy(out, folder, strlen(folder) + 1);
    js_free(settings);
    buf_clear(&text);
    return ok;
}

/* The models folder of the home that the file at pointer names; "" without one. */
static status follow(store_scan *s, const char *pointer, char out[STORE_PATH_MAX])
{
    char home[STORE_PATH_MAX], settings[STORE_PATH_MAX];
    buf text = BUF_INIT(STORE_TEXT_MAX);
    status st = store_see(s, pointer);
    bool ok = !st && store_read_small(pointer, &text);
    span word = span_trim(span_of(buf_text(&text)));
    ok = ok && word.n && word.n < sizeof home && word.p[0] == '/' && !memchr(word.p, '\0', word.n);
    out[0] = '\0';
    if (ok) {
        memcpy(home, word.p, word.n);
        home[word.n] = '\0';
        ok = store_join(settings, home, "settings.json") && store_join(out, home, "models");
        if (!ok)
            out[0] = '\0';
        st = ok ? store_see(s, settings) : OK;
        if (ok && !st)
            (void)read_settings(settings, out);
    }
    buf_clear(&text);
    return st;
}

/* ---- scanning ---- */

/* The folder that a row means; "" when it means none. *last: the rows after it do not count. */
static status root_of(store_scan *s, const root_row *r, char out[STORE_PATH_MAX], bool *last)
{
    const char *value = r->env[0] ? getenv(r->env) : "";
    char path[STORE_PATH_MAX];
    out[0] = '\0';
    *last = false;
    if (!value || (r->env[0] && !value[0]) || strlen(value) + strlen(r->tail) >= sizeof path)
        return OK;
    *last = r->only;
    memcpy(path, value, strlen(value));
    memcpy(path + strlen(value), r->tail, strlen(r->tail) + 1);
    if (r->points)
        return follow(s, path, out);
    memcpy(out, path, strlen(path) + 1);
    return OK;
}

static status scan_place(store_scan *s, const struct place *p)
{
    char roots[ROOTS_MAX][STORE_PATH_MAX];
    bool last = false;
    status st = OK;
    size_t n = 0;
    s->first = s->n;
    s->entries = s->folders = 0;
    for (size_t i = 0; !st && !last && i < ROOTS_MAX && p->roots[i].env; i++) {
        char *root = roots[n];
        st = root_of(s, &p->roots[i], root, &last);
        bool known = !root[0];
        for (size_t k = 0; k < n && !known; k++)
            known = strcmp(roots[k], root) == 0 || store_same_file(roots[k], root);
        if (st || known)
            continue;
        n++;
        s->root = root;
        st = p->scan(s);
    }
    store_sort(s, s->first);
    return st;
}

status store_scan_places(store_scan *s)
{
    status st = OK;
    for (size_t i = STORE_MODELS + 1; !st && i < STORE_PATH; i++) {
        s->place = (store_place)i;
        if (is_wanted(places[i].name))
            st = scan_place(s, &places[i]);
    }
    return st;
}
