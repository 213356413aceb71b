/* facts_watch.h: for facts.c: whether what a sheet was made of is as it was. */
#ifndef API_FACTS_WATCH_H
#define API_FACTS_WATCH_H

#include <pthread.h>

#include "base/mem.h"
#include "ledger/ledger.h"
#include "plat/stamp.h"
#include "provider/config.h"
#include "task/task.h"

/* ---- the ledger ---- */

/* Which state of which ledger file; equal ones are the same content. */
typedef struct ledger_state {
    uint64_t epoch;   /* another one when the file, or its log, is another or has another stamp */
    uint64_t version; /* ledger_version of the connection of this epoch; 0: no ledger */
} ledger_state;

/* One connection that stays open and is only asked ledger_version. Any thread. */
typedef struct ledger_watch {
    pthread_mutex_t lock;
    char *path, *log; /* ledger.db, ledger.db-wal; NULL: there is no home */
    ledger *l;        /* NULL: there is no file, or it could not be opened */
    file_stamp file, log_stamp;
    uint64_t epoch;
} ledger_watch;

status ledger_watch_open(ledger_watch *w, error *err) MUST_CHECK;
void ledger_watch_close(ledger_watch *w);
/* Of now. A ledger that cannot be asked is in another state each time. */
ledger_state ledger_watch_state(ledger_watch *w);
bool ledger_state_same(const ledger_state *a, const ledger_state *b);

/* ---- files ---- */

/* A list of files and their stamps. Owner thread; const: any. */
typedef struct watched {
    struct watched *next;
    const char *path;
    file_stamp is;
} watched;
typedef struct file_watch {
    arena memory;
    watched *first;
} file_watch;

/* Adds every file that the task was made of. */
status file_watch_files(file_watch *w, const task *t, const char *name, const char *bin_dir, error *err) MUST_CHECK;
/* The same, the labels of its folder, and the files of the models that its graders name. */
status file_watch_task(file_watch *w, const task *t, const char *name, const char *bin_dir, const config *c,
                       error *err) MUST_CHECK;
/* One file, or folder. */
status file_watch_add(file_watch *w, const char *path, error *err) MUST_CHECK;
/* Adds the files of the weights that a SPEC means; nothing for what is asked through a URL. */
status file_watch_model(file_watch *w, const char *spec, const config *c, error *err) MUST_CHECK;
void file_watch_clear(file_watch *w);
bool file_watch_same(const file_watch *w);
/* One of them may have changed after utc_us, though it has its stamp. */
bool file_watch_young(const file_watch *w, int64_t utc_us);

#endif
