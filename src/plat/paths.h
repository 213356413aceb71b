/* paths.h: where hearth keeps its files. Any thread.
 *
 * HEARTH_HOME, when set, holds everything: $HEARTH_HOME/config.yaml, models/, ledger.db, audit.log, prefix/.
 * Otherwise XDG: $XDG_CONFIG_HOME/hearth (default ~/.config/hearth), $XDG_DATA_HOME/hearth (~/.local/share/hearth),
 * $XDG_CACHE_HOME/hearth (~/.cache/hearth); relative values in the XDG variables are ignored, as XDG asks. */
#ifndef PLAT_PATHS_H
#define PLAT_PATHS_H

#include "base/status.h"

typedef enum path_kind {
    PATH_CONFIG, /* config.yaml */
    PATH_DATA,   /* models/, ledger.db, audit.log */
    PATH_CACHE,  /* prefix/ */
} path_kind;

/* The full path of `name` ("ledger.db"; NULL or "": the directory itself). Touches no file. *out: free with mem_free.
 * E_NOTFOUND when neither HEARTH_HOME nor HOME is set. */
status path_of(char **out, path_kind kind, const char *name, error *err) MUST_CHECK;

/* Makes a directory and its missing parents, mode 0700. One that exists is left as it is. */
status path_make_dirs(const char *dir, error *err) MUST_CHECK;

/* Makes the missing parents of a file. */
status path_make_parents(const char *file, error *err) MUST_CHECK;

#endif
