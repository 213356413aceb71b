/* audit_int.h: the files of a chain and one commit to them. */
#ifndef PRIVACY_AUDIT_INT_H
#define PRIVACY_AUDIT_INT_H

#include <pthread.h>

#include "privacy/audit_chain.h"

enum {
    AUDIT_BATCH_MAX = 256,            /* releases of one commit */
    AUDIT_TAIL_MAX = 64 << 20,        /* bytes that cut-off writes may have left at the log's end */
    AUDIT_LOCK_MS = 10000,
    AUDIT_ANCHOR_RECORDS = 64,        /* an anchor at least this often */
    AUDIT_ANCHOR_S = 3600,
    AUDIT_BACK_S = 300,               /* a clock is set right by so much now and then; by more it is wrong */
};

typedef struct audit_files {
    char *log, *state, *key, *anchors; /* paths */
} audit_files;
status audit_files_find(audit_files *f, error *err) MUST_CHECK;
void audit_files_clear(audit_files *f);

/* ---- audit_state.c: audit.state, which is also the lock ---- */

typedef enum audit_lock { AUDIT_READ, AUDIT_WRITE } audit_lock;

typedef struct audit_state {
    int fd;
    bool found;        /* chain is what it says; otherwise it says nothing: an empty or damaged file */
    unsigned older;    /* the slot that is written next */
    audit_chain chain;
} audit_state;

/* Opens, locks and reads. WRITE makes the file. E_NOTFOUND: READ, and it is not there. audit_state_close unlocks and
 * forgets the key. */
status audit_state_open(audit_state *s, const audit_files *f, audit_lock how, error *err) MUST_CHECK;
void audit_state_close(audit_state *s);
/* Durable when it returns. A kill at any moment leaves the old or the new one. */
status audit_state_write(audit_state *s, const audit_files *f, error *err) MUST_CHECK;
/* A new chain: its key to audit.key unless `elsewhere`, then its state. Only with an empty log. */
status audit_state_begin(audit_state *s, const audit_files *f, bool elsewhere, error *err) MUST_CHECK;
/* So that names of new files are durable. */
status audit_sync_folder(const char *file, error *err) MUST_CHECK;

/* ---- audit_key.c ---- */
status audit_key_keep(const audit_files *f, const audit_chain *c, error *err) MUST_CHECK;
/* The first key of a chain out of a file of lines "CHAIN KEY" ('#' begins a comment; a lone KEY is of any chain). "-"
 * is standard input. E_NOTFOUND: no such file or line. */
status audit_key_read(const char *file, const char *chain, uint8_t key[DIGEST_BYTES], error *err) MUST_CHECK;

/* ---- audit_anchor.c ---- */
typedef struct audit_anchor {
    char chain[UUID_TEXT];
    uint64_t sequence;
    char head[DIGEST_HEX];
} audit_anchor;
/* The last record of c to audit.anchors and to syslog; sets c->anchored. What fails is said in the log, once. */
void audit_anchor_write(const audit_files *f, audit_chain *c, int64_t at_us);
/* All of them, or none when there is no file. *out: mem_free. */
status audit_anchors_read(const audit_files *f, audit_anchor **out, size_t *n, error *err) MUST_CHECK;
/* "SEQ:HEX". */
bool audit_anchor_parse(const char *text, audit_anchor *out);

/* ---- audit_commit.c ---- */

/* One release that waits. The rest is of audit.c. */
typedef struct audit_wait {
    struct audit_wait *next;
    const audit_entry *entry;
    uint8_t body[DIGEST_BYTES];
    audit_receipt *receipt;
    bool done;
    status s;
    error why;
} audit_wait;

typedef struct audit_commit {
    const audit_files *files;
    int64_t (*now)(void);
    int64_t now_us;      /* asked under the lock, so that times follow the order of records */
    uint64_t *anchor_us; /* clock of the owner's last anchor, monotonic */
    bool lost;           /* set when the disk failed in a way that says nothing of what it holds */
} audit_commit;

/* Writes the records of all that wait, durably, or none of them may be sent. */
status audit_commit_run(audit_commit *c, audit_wait *first, error *err) MUST_CHECK;

struct audit {
    audit_files files;
    int64_t (*now)(void); /* clock_utc_us; tests have their own */
    pthread_mutex_t lock;
    pthread_cond_t done;
    audit_wait *first, *last;
    bool committing, lost;
    uint64_t anchor_us;
    audit_counts counts;
};

#endif
