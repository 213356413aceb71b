/* libFuzzer over the texts that stand beside models: the first byte says whose place the rest takes: a note, a manifest
 * or a list of manifests of Ollama's, refs/main of a repository, LM Studio's pointer or settings, or MODEL itself.
 * Whatever they say, lists stay sorted within a place, paths lead to files, and what is known of a part is a digest or
 * nothing.
 * modules: base plat gguf quant store
 * libs: -lcrypto -lyaml */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char *const texts[] = {
    "models/own.gguf.json", "ollama/manifests/registry.ollama.ai/library/m/1b", "hub/models--a--b/refs/main",
    "home/.lmstudio-home-pointer", "home/.lmstudio/settings.json",
};
static const char *const files[] = {
    "models/own.gguf", "ollama/blobs/sha256-" HEX, "hub/models--a--b/snapshots/1/x.gguf",
    "hub/models--a--b/snapshots/2/x.gguf", "home/.lmstudio/models/p/r/y.gguf",
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static char dir[64]; /* the process stays where it is: libFuzzer's folders are relative */

static void put(const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    must(f && fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

static void prepare(void)
{
    char path[256];
    static const char *const env[][2] = { { "HEARTH_HOME", "" },       { "HOME", "/home" },
                                          { "HF_HUB_CACHE", "/hub" }, { "OLLAMA_MODELS", "/ollama" } };
    snprintf(dir, sizeof dir, "%s/hearth-fuzz-store-%d", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (int)getpid());
    must(mkdir(dir, 0700) == 0);
    for (size_t i = 0; i < ARRAY_LEN(env); i++) {
        snprintf(path, sizeof path, "%s%s", dir, env[i][1]);
        setenv(env[i][0], path, 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(files) + ARRAY_LEN(texts); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i < ARRAY_LEN(files) ? files[i] : texts[i - ARRAY_LEN(files)]);
        for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); *p++ = '/') {
            *p = '\0';
            mkdir(path, 0700);
        }
        if (i < ARRAY_LEN(files))
            put(files[i], "weights", 7);
    }
    put("home/.lmstudio-home-pointer", dir, strlen(dir));
    unsetenv("HEARTH_PLACES");
}

static void check(const store_model *m)
{
    struct stat st;
    store_note note;
    store_expected e;
    must(stat(m->path, &st) == 0 && S_ISREG(st.st_mode) && m->name[0]);
    if (store_note_read(&note, m, NULL) == OK && store_expect(&e, m, &note, 0, NULL) == OK)
        must(!e.sha256[0] || (strlen(e.sha256) == 64 && strspn(e.sha256, "0123456789abcdef") == 64));
    store_note_clear(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    store_model *list = NULL, one = { 0 };
    size_t n = 0;
    char word[300] = "";
    if (!ready)
        prepare();
    ready = true;
    if (size < 1)
        return 0;
    size_t which = data[0] % (ARRAY_LEN(texts) + 1);
    if (which < ARRAY_LEN(texts))
        put(texts[which], data + 1, size - 1);
    else
        memcpy(word, data + 1, size - 1 < sizeof word - 1 ? size - 1 : sizeof word - 1);
    must(store_list_places(&list, &n, NULL, NULL, NULL) == OK);
    for (size_t i = 0; i < n; i++) {
        check(&list[i]);
        must(i == 0 || list[i - 1].place < list[i].place ||
             (list[i - 1].place == list[i].place && strcmp(list[i - 1].name, list[i].name) <= 0));
    }
    store_free(list, n);
    if (word[0] && store_look(&one, word, NULL) == OK) {
        check(&one);
        store_model_clear(&one);
    }
    return 0;
}
