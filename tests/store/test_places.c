/* What other programs keep is found where they keep it, under their names; whatever else lies there does no harm. */
#include "lib/disk.h"

#include <sys/time.h>

#include "base/mem.h"
#include "store/store.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define LAYER(kind, hex) "{\"mediaType\": \"application/vnd.ollama.image." kind "\", \"digest\": \"sha256:" hex "\"}"

static char said[8192];
static unsigned n_said;

static void say(void *user, const char *sentence)
{
    (void)user;
    n_said++;
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", sentence);
}

/* The names of all places, each with a blank before and behind: " a b ". */
static const char *all_names(void)
{
    static char text[65536];
    store_model *list;
    size_t n;
    said[0] = '\0';
    n_said = 0;
    assert_ok(store_list_places(&list, &n, say, NULL, err));
    text[0] = ' ';
    text[1] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s ", list[i].name,
                 list[i].unusable ? "(no)" : "");
    store_free(list, n);
    return text;
}

static void means(const char *word, const char *path_end)
{
    char *path = NULL;
    assert_ok(store_find(&path, word, err));
    size_t n = strlen(path), k = strlen(path_end);
    if (n < k || strcmp(path + n - k, path_end) != 0)
        fail_msg("'%s' means %s, not %s", word, path, path_end);
    mem_free(path);
}

static void means_none(const char *word, status want, const char *says)
{
    char *path = NULL;
    error e = { 0 };
    assert_int_equal(store_find(&path, word, &e), want);
    if (!strstr(e.text, says))
        fail_msg("'%s': \"%s\" does not say \"%s\"", word, e.text, says);
}

/* ---- Hugging Face ---- */

#define REPO "hub/models--own--Repo-GGUF/"

static void hugging_face(void **state)
{
    (void)state;
    disk_put(REPO "blobs/" HEX_A, "new weights");
    disk_put(REPO "blobs/" HEX_B, "old weights");
    disk_put(REPO "refs/main", "c0ffee\n");
    disk_link("../../blobs/" HEX_A, REPO "snapshots/c0ffee/M-Q4_K_M.gguf");
    disk_link("../../blobs/" HEX_B, REPO "snapshots/0ld/M-Q4_K_M.gguf");
    disk_link("../../blobs/" HEX_B, REPO "snapshots/zzz/M-Q4_K_M.gguf");
    disk_link("../../blobs/" HEX_B, REPO "snapshots/0ld/M-Q8_0.gguf");
    disk_link("../../../blobs/" HEX_B, REPO "snapshots/c0ffee/BF16/M-BF16-00001-of-00002.gguf");
    disk_link("../../../blobs/" HEX_A, REPO "snapshots/c0ffee/BF16/M-BF16-00002-of-00002.gguf");
    disk_link("../../blobs/missing", REPO "snapshots/c0ffee/M-Q2_K.gguf");
    disk_link("../../blobs/" HEX_A, REPO "snapshots/c0ffee/mmproj-M-f16.gguf");
    disk_put("hub/models--alone/snapshots/1/one.gguf", "copied, not linked");
    disk_put("hub/datasets--own--set/snapshots/1/no.gguf", "no model");
    disk_put("hub/.locks/models--own--Repo-GGUF/x.gguf", "");
    disk_put("hub/version.txt", "1");
    assert_string_equal(all_names(), " hf:alone/one hf:own/Repo-GGUF/BF16/M-BF16 hf:own/Repo-GGUF/M-Q4_K_M "
                                     "hf:own/Repo-GGUF/M-Q8_0 ");
    assert_int_equal(n_said, 0);
    means("hf:own/Repo-GGUF/M-Q4_K_M", "/c0ffee/M-Q4_K_M.gguf"); /* refs/main's, not another's */
    means("hf:own/Repo-GGUF/M-Q4_K_M.gguf", "/c0ffee/M-Q4_K_M.gguf");
    means("hf:own/repo-gguf:q4_k_m", "/c0ffee/M-Q4_K_M.gguf");
    means("hf:own/Repo-GGUF:Q8_0", "/0ld/M-Q8_0.gguf"); /* only an older commit has it */
    means("m-q8_0", "/0ld/M-Q8_0.gguf");
    means("M-BF16", "/M-BF16-00001-of-00002.gguf");
    means("hf:alone", "/one.gguf");
    means_none("hf:own/Repo-GGUF", E_NOTFOUND, "several begin like this: hf:own/Repo-GGUF/");
    means_none("hf:own/Repo-GGUF:K_M", E_NOTFOUND, ""); /* a part of a quantisation's name is none */
    means_none("hf:nobody/none", E_NOTFOUND, "not in the Hugging Face cache");
    /* without refs/main the newest counts */
    const struct timeval old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    assert_int_equal(unlink(REPO "refs/main"), 0);
    assert_int_equal(utimes(REPO "blobs/" HEX_B, old), 0);
    means("M-Q4_K_M", "/c0ffee/M-Q4_K_M.gguf");
}

static void expected(void **state)
{
    (void)state;
    store_model m;
    store_expected x;
    const store_note none = { 0 };
    assert_ok(store_look(&m, "M-BF16", err));
    assert_ok(store_expect(&x, &m, &none, 0, err));
    assert_string_equal(x.sha256, HEX_B);
    assert_ok(store_expect(&x, &m, &none, 1, err));
    assert_string_equal(x.sha256, HEX_A);
    assert_string_equal(store_label(&m), "hf:own/Repo-GGUF/BF16/M-BF16");
    error e = { 0 };
    assert_int_equal(store_delete(&m, &e), E_DENIED);
    assert_non_null(strstr(e.text, "hf cache rm model/own/Repo-GGUF"));
    store_model_clear(&m);
    assert_ok(store_look(&m, "hf:alone/one", err)); /* a copy's name says nothing of its digest */
    assert_ok(store_expect(&x, &m, &none, 0, err));
    assert_string_equal(x.sha256, "");
    store_model_clear(&m);
}

/* ---- Ollama ---- */

#define LIBRARY "ollama/manifests/registry.ollama.ai/library/"

static void ollama(void **state)
{
    (void)state;
    disk_put("ollama/blobs/sha256-" HEX_A, "weights a");
    disk_put("ollama/blobs/sha256-" HEX_B, "weights b");
    disk_put(LIBRARY "llama3.2/1b", "{\"layers\": [" LAYER("template", HEX_C) ", " LAYER("model", HEX_A) "]}");
    disk_put(LIBRARY "llama3.2/latest", "{\"layers\": [" LAYER("model", HEX_B) "]}");
    disk_put("ollama/manifests/registry.ollama.ai/me/mine/7b", "{\"layers\": [" LAYER("model", HEX_B) "]}");
    disk_put("ollama/manifests/hf.co/own/Repo-GGUF/Q8_0", "{\"layers\": [" LAYER("model", HEX_A) "]}");
    disk_put(LIBRARY "llava/latest", "{\"layers\": [" LAYER("model", HEX_A) ", " LAYER("projector", HEX_B) "]}");
    disk_put(LIBRARY "lora/latest", "{\"layers\": [" LAYER("model", HEX_A) ", " LAYER("adapter", HEX_B) "]}");
    disk_put(LIBRARY "cloud/latest", "{\"layers\": []}");
    disk_put(LIBRARY "gone/latest", "{\"layers\": [" LAYER("model", HEX_C) "]}");
    /* a list of manifests, whole and by its digest; the new folder goes before the old one */
    disk_put("ollama/blobs/sha256-" HEX_C "x", "");
    disk_put("ollama/manifests-v2/registry.ollama.ai/library/both/latest",
             "{\"mediaType\": \"application/vnd.ollama.manifest.list.v2+json\", \"manifests\": ["
             "{\"runner\": \"mlx\", \"layers\": [" LAYER("tensor", HEX_B) "]}, "
             "{\"runner\": \"llamacpp\", \"layers\": [" LAYER("model", HEX_A) "]}]}");
    disk_put(LIBRARY "both/latest", "{\"layers\": [" LAYER("model", HEX_B) "]}");
    means("ollama:llama3.2:1b", "/blobs/sha256-" HEX_A);
    means("llama3.2:1b", "/blobs/sha256-" HEX_A);
    means("LLAMA3.2:1B", "/blobs/sha256-" HEX_A);
    means("llama3.2", "/blobs/sha256-" HEX_B);
    means("ollama:llama3.2:latest", "/blobs/sha256-" HEX_B);
    means("ollama:me/mine:7b", "/blobs/sha256-" HEX_B);
    means("ollama:hf.co/own/Repo-GGUF:Q8_0", "/blobs/sha256-" HEX_A);
    means("ollama:both", "/blobs/sha256-" HEX_A);
    means_none("llava", E_UNSUPPORTED, "projector");
    means_none("ollama:lora", E_UNSUPPORTED, "adapter");
    means_none("ollama:cloud", E_UNSUPPORTED, "no weights on this disk");
    means_none("ollama:gone", E_UNSUPPORTED, "not there");
    means_none("ollama:lama3.2:1b", E_NOTFOUND, "did you mean 'ollama:llama3.2:1b'");
    means("ollama:llama3.2:1", "/blobs/sha256-" HEX_A); /* a beginning that one has */
    means_none("ollama:l", E_NOTFOUND, "several begin like this: ollama:llama3.2:1b, ollama:llama3.2:latest");
}

/* Manifests that are none, or lie: each is listed with what is wrong or passed over, and the others stay. */
static void hostile_manifests(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "[]", "7", "{\"layers\": 7}", "{\"layers\": [7, null, {}]}",
        "{\"layers\": [{\"mediaType\": \"application/vnd.ollama.image.model\", \"digest\": \"sha256:../../../etc\"}]}",
        "{\"layers\": [{\"mediaType\": \"application/vnd.ollama.image.model\", \"digest\": 5}]}",
        "{\"mediaType\": \"application/vnd.ollama.manifest.list.v2+json\", \"manifests\": [{\"runner\": \"ollama\", "
        "\"digest\": \"sha256:" HEX_A "\"}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char path[300];
        snprintf(path, sizeof path, LIBRARY "bad/%zu", i);
        disk_put(path, texts[i]);
    }
    disk_parents(LIBRARY "bad/pipe");
    mkfifo(LIBRARY "bad/pipe", 0600);
    disk_put(LIBRARY "bad/new\nline", "{\"layers\": [" LAYER("model", HEX_A) "]}");
    disk_put("ollama/manifests/short/1b", "{}");
    disk_put("ollama/manifests/a/b/c/d/e", "{}");
    const char *names = all_names();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char want[64];
        snprintf(want, sizeof want, " ollama:bad:%zu(no) ", i);
        if (!strstr(names, want))
            fail_msg("%s is not in%s", want, names);
    }
    assert_null(strstr(names, "line"));
    assert_null(strstr(names, "short"));
    assert_null(strstr(names, "a/b"));
    assert_non_null(strstr(names, " ollama:llama3.2:1b "));
    means("ollama:llama3.2:1b", "/blobs/sha256-" HEX_A);
    disk_remove(LIBRARY "bad");
}

/* ---- LM Studio ---- */

static void lm_studio(void **state)
{
    (void)state;
    disk_put("home/.lmstudio/models/pub/repo/L-Q4_K_M.gguf", "weights");
    disk_put("home/.cache/lm-studio/models/pub/repo/Old-Q4_K_M.gguf", "weights");
    disk_put("home/.cache/lm-studio/models/pub/repo/L-Q4_K_M.gguf", "of the older folder");
    means("lmstudio:pub/repo/L-Q4_K_M", "home/.lmstudio/models/pub/repo/L-Q4_K_M.gguf");
    means("old-q4_k_m", "/Old-Q4_K_M.gguf");
    /* its home may be elsewhere, and its models elsewhere again */
    char text[300], cwd[200];
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(text, sizeof text, "%s/studio\n", cwd);
    disk_put("home/.lmstudio-home-pointer", text);
    disk_put("studio/models/pub/repo/Here.gguf", "weights");
    means("Here", "studio/models/pub/repo/Here.gguf");
    snprintf(text, sizeof text, "{\"downloadsFolder\": \"%s/big-disk\"}", cwd);
    disk_put("studio/settings.json", text);
    disk_put("big-disk/pub/repo/There.gguf", "weights");
    means("There", "big-disk/pub/repo/There.gguf");
    means_none("Here", E_NOTFOUND, "");
    static const char *const bad[] = { "", "{", "{\"downloadsFolder\": 7}", "{\"downloadsFolder\": \"relative\"}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        disk_put("studio/settings.json", bad[i]);
        means("Here", "studio/models/pub/repo/Here.gguf");
    }
    disk_put("home/.lmstudio-home-pointer", "relative/home");
    means_none("Here", E_NOTFOUND, "");
}

/* ---- all together ---- */

static void loops_and_depth(void **state)
{
    (void)state;
    disk_link("..", "home/.lmstudio/models/pub/loop");
    disk_link(".", "home/.lmstudio/models/self");
    disk_put("home/.lmstudio/models/1/2/3/4/5/deep.gguf", "weights");
    disk_put("home/.lmstudio/models/1/2/3/4/5/6/deeper.gguf", "weights");
    mkfifo("home/.lmstudio/models/pipe.gguf", 0600);
    const char *names = all_names();
    const char *first = strstr(names, "L-Q4_K_M "), *deep = strstr(names, "/deep ");
    assert_non_null(first);
    assert_null(strstr(first + 1, "L-Q4_K_M ")); /* once, however often links lead there */
    assert_non_null(deep);
    assert_null(strstr(names, "deeper"));
    assert_null(strstr(names, "pipe"));
}

static void not_readable(void **state)
{
    (void)state;
    if (geteuid() == 0)
        return; /* root reads everything */
    assert_int_equal(chmod("home/.lmstudio/models/pub", 0), 0);
    assert_non_null(strstr(all_names(), " ollama:llama3.2:1b "));
    assert_non_null(strstr(said, "home/.lmstudio/models/pub: not looked into: Permission denied"));
    assert_int_equal(chmod("home/.lmstudio/models/pub", 0700), 0);
}

/* What other programs put on the disk changes nothing about what a name in the models directory means. */
static void own_first(void **state)
{
    (void)state;
    disk_put("models/llama3.2.gguf", "own");
    means("llama3.2", "/models/llama3.2.gguf");
    means("llama3", "/models/llama3.2.gguf");
    means("ollama:llama3.2", "/blobs/sha256-" HEX_B);
    assert_int_equal(unlink("models/llama3.2.gguf"), 0);
    means("llama3.2", "/blobs/sha256-" HEX_B);
    /* the same name in two places: nobody knows which; the same file in two places is one */
    disk_put("home/.lmstudio/models/pub/repo/M-Q8_0.gguf", "another file");
    means_none("M-Q8_0", E_NOTFOUND, "several begin like this: hf:own/Repo-GGUF/M-Q8_0, lmstudio:pub/repo/M-Q8_0");
    assert_int_equal(unlink("home/.lmstudio/models/pub/repo/M-Q8_0.gguf"), 0);
    assert_int_equal(link(REPO "blobs/" HEX_B, "home/.lmstudio/models/pub/repo/M-Q8_0.gguf"), 0);
    means("M-Q8_0", "M-Q8_0.gguf");
}

static void environment(void **state)
{
    (void)state;
    setenv("HEARTH_PLACES", "none", 1);
    assert_string_equal(all_names(), " own ");
    means_none("ollama:llama3.2", E_NOTFOUND, "");
    setenv("HEARTH_PLACES", "hf,lmstudio", 1);
    assert_null(strstr(all_names(), "ollama:"));
    assert_non_null(strstr(all_names(), "hf:"));
    unsetenv("HEARTH_PLACES");
    /* HF_HUB_CACHE goes before HF_HOME goes before the default */
    disk_put("hfhome/hub/models--a--b/snapshots/1/second.gguf", "weights");
    disk_put("home/.cache/huggingface/hub/models--a--b/snapshots/1/third.gguf", "weights");
    char text[300], cwd[200];
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(text, sizeof text, "%s/hfhome", cwd);
    setenv("HF_HOME", text, 1);
    means_none("second", E_NOTFOUND, "");
    unsetenv("HF_HUB_CACHE");
    means("second", "/second.gguf");
    means_none("third", E_NOTFOUND, "");
    unsetenv("HF_HOME");
    means("third", "/third.gguf");
}

/* ---- watching ---- */

typedef struct watched {
    char text[65536];
    unsigned n;
} watched;

static status see(void *user, const char *path, error *err)
{
    watched *w = user;
    (void)err;
    w->n++;
    snprintf(w->text + strlen(w->text), sizeof w->text - strlen(w->text), "%s\n", path);
    return OK;
}

static status stop(void *user, const char *path, error *err)
{
    unsigned *n = user;
    ++*n;
    return fail(err, E_RANGE, "no more than this: %s", path);
}

static void watching(void **state)
{
    (void)state;
    watched w = { 0 };
    error e = { 0 };
    unsigned n = 0;
    disk_put("models/own.gguf", "weights");
    assert_ok(store_watch("own", see, &w, err));
    assert_null(strstr(w.text, "ollama")); /* other places do not matter to it */
    assert_non_null(strstr(w.text, "/models\n"));
    assert_non_null(strstr(w.text, "/models/own.gguf\n"));
    w = (watched){ 0 };
    assert_ok(store_watch("llama3.2:1b", see, &w, err)); /* a pull of it writes its manifest anew */
    assert_non_null(strstr(w.text, "library/llama3.2/1b\n"));
    assert_non_null(strstr(w.text, "library/llama3.2\n"));
    assert_non_null(strstr(w.text, "blobs/sha256-" HEX_A "\n"));
    assert_non_null(strstr(w.text, "/models\n"));
    w = (watched){ 0 };
    assert_ok(store_watch("is/a/path-00001-of-00003.gguf", see, &w, err));
    assert_int_equal(w.n, 3);
    assert_int_equal(store_watch("nowhere", stop, &n, &e), E_RANGE);
    assert_int_equal(n, 1);
    assert_non_null(strstr(e.text, "no more than this"));
}

int main(void)
{
    const char *dir = disk_enter("places");
    char path[300];
    setenv("HEARTH_HOME", dir, 1);
    snprintf(path, sizeof path, "%s/home", dir);
    setenv("HOME", path, 1);
    snprintf(path, sizeof path, "%s/hub", dir);
    setenv("HF_HUB_CACHE", path, 1);
    snprintf(path, sizeof path, "%s/ollama", dir);
    setenv("OLLAMA_MODELS", path, 1);
    static const char *const others[] = { "HEARTH_PLACES", "HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        unsetenv(others[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hugging_face), cmocka_unit_test(expected),        cmocka_unit_test(ollama),
        cmocka_unit_test(hostile_manifests), cmocka_unit_test(lm_studio),  cmocka_unit_test(loops_and_depth),
        cmocka_unit_test(not_readable), cmocka_unit_test(own_first),       cmocka_unit_test(watching),
        cmocka_unit_test(environment),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_remove(dir);
    return failed;
}
