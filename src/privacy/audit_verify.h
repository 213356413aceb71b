/* audit_verify.h: reading an audit log, which is always checking it. Any thread; may run while others append.
 *
 * Without the first key it is checked that each record follows the one before it (number and digest), that the last
 * one is what audit.state says, and that all anchors lie on the chain. With it also that each record is what was
 * written. */
#ifndef PRIVACY_AUDIT_VERIFY_H
#define PRIVACY_AUDIT_VERIFY_H

#include "base/js.h"
#include "base/str.h"
#include "privacy/audit.h"

enum { AUDIT_ANCHORS_MAX = 64 };

typedef struct audit_question {
    const char *log;      /* NULL: the present one. Another one (set aside, or a copy) has no audit.state */
    const char *key_file; /* lines "CHAIN KEY"; "-": standard input. NULL: audit.key, if it has the chain */
    const char *anchors[AUDIT_ANCHORS_MAX]; /* "SEQ:HEX", what others have kept */
    size_t n_anchors;
} audit_question;

typedef struct audit_verdict {
    bool there;           /* there is a log */
    bool keyed;           /* MACs were checked */
    bool key_here;        /* with the key out of audit.key: whoever took this machine has it too */
    bool holds;           /* no fault was found */
    uint64_t fault_at;    /* the first record that is missing or not what was written */
    char fault[256];      /* why */
    char chain[UUID_TEXT];
    uint64_t records, releases, torn_bytes; /* torn: of writes that were cut off and are accounted for */
    uint64_t tail_bytes;  /* a cut-off write at the very end, which the next append will account for */
    uint64_t ahead;       /* records that are newer than audit.state: a process ended between the two */
    uint64_t anchors;     /* so many were compared */
    int64_t first_us, last_us;
    char head[DIGEST_HEX]; /* of the last record: with its number, an anchor */
} audit_verdict;

/* A record that holds so far; false ends the walk. key: NULL when unknown, else that of the record. */
typedef bool audit_record_fn(void *user, const js *record, span line, const uint8_t *key);

/* Faults of the log are in *v and the return value is OK. fn may be NULL. E_FORMAT: an anchor that is none. */
status audit_verify(const audit_question *q, audit_record_fn *fn, void *user, audit_verdict *v, error *err) MUST_CHECK;

/* Whether the record is of this body. key as above. */
bool audit_body_fits(const js *record, const uint8_t key[DIGEST_BYTES], const void *body, size_t n);

#endif
