/* audit_standing.h: where the audit log stands, at once: without reading it (audit_verify.h does). Any thread. */
#ifndef PRIVACY_AUDIT_STANDING_H
#define PRIVACY_AUDIT_STANDING_H

#include "privacy/audit.h"

typedef struct audit_standing {
    bool there;            /* a chain has begun */
    bool whole;            /* log and state fit each other; true when neither is there */
    bool can_append;       /* a record can be written: tried, as far as that leaves no trace */
    char why[160];         /* whole or can_append is false: the reason */
    char chain[UUID_TEXT];
    uint64_t record;       /* the last one; 0: none */
    char head[DIGEST_HEX]; /* its digest */
} audit_standing;

/* E_NOTFOUND when there is no place for hearth's files, E_NOMEM. All else is in *out. */
status audit_stand(audit_standing *out, error *err) MUST_CHECK;

#endif
