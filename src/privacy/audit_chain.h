/* audit_chain.h: one record after another. Pure: bytes in, bytes out; a chain belongs to its owner.
 *
 * A record is one line of compact JSON, its members in this order, its last two always `prev` and `mac`:
 *
 *   {"v":1,"seq":1,"at_us":…,"kind":"begin","chain":"UUID","hearth":"VERSION","prev":"00…00","mac":"HEX"}
 *   {"v":1,"seq":2,"at_us":…,"kind":"release","request":"…","class":"public","task":"…","caller":"…",
 *    "place":"remote","host":"…","model":"…","policy":"…","detectors":"…","bytes":812,"body":"HEX",
 *    "prev":"HEX","mac":"HEX"}
 *   {"v":1,"seq":3,"at_us":…,"kind":"torn","bytes":97,"sha256":"HEX","prev":"HEX","mac":"HEX"}
 *
 * `declassify` has the members of `release`: the text's new class, its user as caller, the reason as policy.
 *
 *   prev    SHA-256 of the record before it, its whole line without the line break
 *   mac     HMAC-SHA-256(k_seq, the line up to and without `,"mac"`)
 *   k_1     32 random bytes; k_(i+1) = SHA-256(k_i, "hearth audit key 1"), and k_i is forgotten: who takes the
 *           machine later has the key of the next record and of none before it
 *   body    HMAC-SHA-256(HMAC-SHA-256(k_seq, "hearth audit body 1"), SHA-256 of the body): who has k_1 can ask whether
 *           a text was what was sent, nobody else can try out guesses
 *   at_us   UTC
 *
 * A write that was cut off (power, kill, full disk) leaves bytes that are no record. They stay: a line break ends them,
 * and a record of the kind `torn` says how many there are and their SHA-256. As the first record it names the chain. */
#ifndef PRIVACY_AUDIT_CHAIN_H
#define PRIVACY_AUDIT_CHAIN_H

#include "base/js.h"
#include "base/str.h"
#include "privacy/audit.h"

enum { AUDIT_LINE_MAX = 16 << 10, AUDIT_FORMAT = 1 };

/* Where a chain stands: all that its next record depends on. */
typedef struct audit_chain {
    char id[UUID_TEXT];
    uint64_t next;              /* sequence of the next record */
    uint64_t bytes;             /* of the log up to here */
    int64_t last_us;            /* of the last record, 0: none */
    uint64_t anchored;          /* the last record that an anchor was written for */
    uint8_t key[DIGEST_BYTES];  /* of the next record */
    uint8_t head[DIGEST_BYTES]; /* digest of the last line; zeros: none */
} audit_chain;

/* Each appends a record and moves the chain on. Failures show in out->failed; the chain is then of no use. */
void audit_write_begin(audit_chain *c, int64_t at_us, buf *out);
void audit_write_release(audit_chain *c, int64_t at_us, const audit_entry *e, const uint8_t body[DIGEST_BYTES],
                         buf *out, char mac[DIGEST_HEX]);
/* torn[0..n) is what lies in the log after c; the line break that ends it is written too. */
void audit_write_torn(audit_chain *c, int64_t at_us, const char *torn, size_t n, buf *out);

/* `body` of a record under its key; sum is the SHA-256 of what was sent. */
void audit_body_mac(const uint8_t key[DIGEST_BYTES], const uint8_t sum[DIGEST_BYTES], char out[DIGEST_HEX]);

typedef struct audit_next {
    js *record;      /* js_free */
    span line;       /* in the log, without its line break */
    uint64_t torn;   /* so many bytes that are no record came before it */
    uint8_t key[DIGEST_BYTES]; /* the key it was written under, if keys are known */
    bool lost;       /* no memory to look */
    bool cut;        /* there is none: the last line has no end */
    char why[160];   /* there is none */
} audit_next;

/* Looks for the next record at log[c->bytes..n) and moves c on. keyed: c->key is right and MACs are checked. False at
 * the end of the log (c->bytes == n), and where no record is found: why. */
bool audit_find(audit_chain *c, const char *log, size_t n, bool keyed, audit_next *out);

#endif
