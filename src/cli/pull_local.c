/* pull_local.c: see the header. */
#include "cli/pull_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/paths.h"
#include "pull/choose.h"
#include "pull/stage.h"

/* The folder of a part of a split model: the other parts lie there too. */
static void cut_to_folder(char *path)
{
    unsigned part, parts;
    size_t stem;
    char *slash = strrchr(path, '/');
    if (choose_split(path, &part, &parts, &stem) && slash && slash > path)
        *slash = 0;
}

const char *pull_local_source(pull_local *l, const char *source, pull_ask_options *o)
{
    const char *path = stage_local_path(source);
    char here[PATH_MAX] = "", *models = NULL;
    if (!path || !realpath(path, l->read[1]) || (path[0] != '/' && !getcwd(here, sizeof here)))
        return source;
    int n = snprintf(l->path, sizeof l->path, "%s%s%s", here, here[0] ? "/" : "", path);
    if (n < 0 || n >= (int)sizeof l->path)
        return source;
    memcpy(l->read[0], l->path, (size_t)n + 1);
    for (size_t i = 0; i < PULL_ASK_READ; i++) {
        cut_to_folder(l->read[i]);
        o->read[i] = l->read[i];
    }
    if (path_of(&models, PATH_DATA, "models", NULL) == OK && path_make_dirs(models, NULL) == OK)
        stage_link_local(models, l->path);
    mem_free(models);
    return l->path;
}
