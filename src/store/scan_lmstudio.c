/* scan_lmstudio.c: LM Studio's models folder: PUBLISHER/REPO/FILE.gguf, as Hugging Face has them
 * (https://lmstudio.ai/docs/app/advanced/import-model). */
#include <stdio.h>
#include <string.h>

#include "store/store_int.h"

static status add_file(store_scan *s, const char *root, const char *file, void *user)
{
    unsigned long part;
    char path[STORE_PATH_MAX], name[STORE_PATH_MAX];
    (void)user;
    if (!store_is_model(file) || !store_join(path, root, file))
        return OK;
    int n = snprintf(name, sizeof name, "lmstudio:%.*s", (int)store_stem(file, &part), file);
    return n < 0 || n >= STORE_PATH_MAX || store_has(s, name) ? OK : store_add(s, name, path, NULL);
}

status store_scan_lmstudio(store_scan *s)
{
    return store_walk_tree(s, s->root, add_file, NULL);
}
