/* audit.h: what leaves this machine is written down, durably, before its first byte leaves. No record, no release.
 *
 * An audit appends to one chain of records (audit_chain.h has the format), which all processes of this user share. Any
 * thread may append; appends that wait at the same time share one synchronisation of the disk. Nothing is created or
 * opened before the first append. docs/PRIVACY.md says what the chain proves and what it cannot.
 *
 *   audit.log      data folder    the records, only ever appended to
 *   audit.state    data folder    where the chain stands and the key of its next record; the lock between processes
 *   audit.key      config folder  the first key of each chain, until it is taken away (audit_take_key)
 *   audit.anchors  config folder  now and then the number and the digest of the last record; syslog gets them too */
#ifndef PRIVACY_AUDIT_H
#define PRIVACY_AUDIT_H

#include "base/digest.h"
#include "plat/random.h"
#include "privacy/privacy.h"

typedef struct audit audit;

/* One release, or (kind "declassify", declassify.h) a text that may count as less private. Borrowed. NULL texts count
 * as "", and texts are cut after AUDIT_TEXT_MAX bytes. */
typedef struct audit_entry {
    const char *kind;      /* NULL: "release" */
    privacy_class privacy;
    privacy_place place;
    const char *host;      /* "https://api.openai.com:443" */
    const char *model;     /* as the provider is asked for it */
    const char *task;      /* the task's id */
    const char *caller;    /* the API key's name */
    const char *request;   /* its id, as in logs */
    const char *policy;    /* the rule that allowed it */
    const char *detectors; /* the version of those that looked at it */
    const void *body;      /* what is sent. Not kept: its length is, and a keyed digest */
    size_t body_bytes;
} audit_entry;

enum { AUDIT_TEXT_MAX = 256 };

/* That the record is on the disk: for whoever sends. */
typedef struct audit_receipt {
    char chain[UUID_TEXT];
    uint64_t sequence;     /* from 1; the first record of a chain is its own */
    char mac[DIGEST_HEX];  /* the record's */
    char body[DIGEST_HEX]; /* SHA-256 of exactly what may be sent; not in the log */
    uint64_t body_bytes;
} audit_receipt;

/* E_NOTFOUND when there is no place for hearth's files, E_NOMEM. */
status audit_open(audit **out, error *err) MUST_CHECK;
/* No append may be under way. Writes an anchor if this audit appended. */
void audit_close(audit **a);

/* Returns when the record is durable. Otherwise nothing may be sent: E_IO (full, read-only, not permitted, another
 * process holds the lock), E_FORMAT (the chain is damaged or cut), E_RANGE (the clock went back), E_DENIED (a class
 * that does not go to that place), E_NOMEM. */
status audit_append(audit *a, const audit_entry *e, audit_receipt *receipt, error *err) MUST_CHECK;

/* Since audit_open: for tests and the bench. */
typedef struct audit_counts {
    uint64_t records, commits; /* a commit synchronises the log once and the state once */
} audit_counts;
audit_counts audit_count(audit *a);

/* ---- the first key: who has it can prove, or disprove, that no record was changed ---- */

enum { AUDIT_KEY_LINE = UUID_TEXT + DIGEST_HEX }; /* "CHAIN KEY", and the zero */

/* Begins a chain before the first release. `elsewhere`: its first key is not kept on this machine, *line is the only
 * copy. `anew`: a chain that is there is set aside first, as audit-CHAIN.log; otherwise it is E_EXISTS. */
status audit_begin(bool elsewhere, bool anew, char line[AUDIT_KEY_LINE], error *err) MUST_CHECK;
/* The first key of the present chain; `away`: it is then removed from this machine. E_NOTFOUND: it is not here. */
status audit_take_key(bool away, char line[AUDIT_KEY_LINE], error *err) MUST_CHECK;

#endif
