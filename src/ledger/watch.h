/* watch.h: what the router is told, and what is seen of routes that are in force. Rules as in ledger.h: append only,
 * one row is one transaction, on the disk when the function returns; rows' strings live until ledger_*_close.
 *
 *   policy  one version of the installation's policy.yaml: number (1, 2, ...), who, why, its text. The one with the
 *           highest number is in force; going back is a new version with an old text. Never exported or imported
 *   shadow  a live answer of this machine and the same request's answer from elsewhere, compared
 *   alarm   a detector's alarm: when, of what, with which numbers
 *
 * basis: the digest of everything under which two answers are comparable (route/watch.h); rows of unequal basis are
 * never looked at together. */
#ifndef LEDGER_WATCH_H
#define LEDGER_WATCH_H

#include "ledger/ledger.h"

/* ---- policies ---- */

enum { LEDGER_POLICY_BYTES_MAX = 1 << 20 };

typedef struct ledger_policy {
    const char *id;     /* read only */
    int64_t at_us;      /* read only */
    int64_t number;     /* read only; the first is 1 */
    const char *who, *reason;
    const char *digest; /* read only; of body */
    const char *body;   /* the file's text */
} ledger_policy;
typedef struct ledger_policies {
    ledger_policy *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_policies;

/* The next version. *number may be NULL. */
status ledger_append_policy(ledger *l, const ledger_policy *p, int64_t *number, error *err) MUST_CHECK;
/* All versions, oldest first. */
status ledger_find_policies(ledger *l, ledger_policies *out, error *err) MUST_CHECK;
/* The one in force: out->n is 0 when none was ever set. */
status ledger_find_policy(ledger *l, ledger_policies *out, error *err) MUST_CHECK;
void ledger_policies_close(ledger_policies *r);

/* ---- shadows ---- */

typedef struct ledger_shadow {
    const char *id;    /* read only */
    int64_t at_us;     /* read only */
    const char *task, *basis;
    int64_t policy;    /* the version it was asked under */
    const char *kind;  /* "graded" or "agreement" */
    const char *local_evidence, *cloud_evidence; /* ids; "" or NULL: none */
    const char *provider; /* who was asked besides */
    const char *prompt_text, *local_text, *cloud_text; /* texts; read: their digests, "" when not stored */
    const char *local_fault, *cloud_fault; /* fault_kind_name's word for an answer that did not come; "" */
    double value;      /* -1 ... 1; NAN: nothing to compare */
    double base, base_low; /* 0 ... 1: what is subtracted from value, and its lower bound */
    double cost_usd;   /* NAN: not known */
} ledger_shadow;
typedef struct ledger_shadows {
    ledger_shadow *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_shadows;

/* keep_text as in ledger_answer. */
status ledger_append_shadow(ledger *l, const ledger_shadow *s, bool keep_text, error *err) MUST_CHECK;
/* In the order in which they were stored. basis NULL: of every basis. */
status ledger_find_shadows(ledger *l, const char *task, const char *basis, ledger_shadows *out, error *err) MUST_CHECK;
void ledger_shadows_close(ledger_shadows *r);

/* ---- alarms ---- */

typedef struct ledger_alarm {
    const char *id;    /* read only */
    int64_t at_us;     /* read only */
    const char *task, *basis;
    const char *kind;  /* "drift", "malformed", "log-probability", "length" */
    double value, level; /* the detector's R, and what it reached */
    uint64_t n;        /* observations since it began */
    const char *detail; /* JSON, or "" */
} ledger_alarm;
typedef struct ledger_alarms {
    ledger_alarm *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_alarms;

status ledger_append_alarm(ledger *l, const ledger_alarm *a, error *err) MUST_CHECK;
/* Of a task (NULL: of all), oldest first. */
status ledger_find_alarms(ledger *l, const char *task, ledger_alarms *out, error *err) MUST_CHECK;
void ledger_alarms_close(ledger_alarms *r);

#endif
