/* keys.h: who may ask. The keys of a config, read once and kept only as HMAC-SHA-256 under a random secret of this
 * process; the keys' own bytes are wiped. Any thread.
 *
 * A ring shows one set of keys at a time. Whoever asks holds the set of that moment until its request ends, so that a
 * reload takes nothing from under it. How much a key's name has used (limit.h) goes on across reloads. */
#ifndef API_KEYS_H
#define API_KEYS_H

#include "api/limit.h"
#include "base/privacy_class.h"
#include "base/status.h"
#include "provider/config.h"

typedef struct key_ring key_ring;
typedef struct keys keys;
typedef struct key key;

/* Reads every key of the config. E_NOTFOUND, E_IO: a key cannot be had; E_FORMAT: it is empty, has blanks or control
 * characters, or is another one's too. The sentence names the key, never its bytes. */
status key_ring_open(key_ring **out, const config *c, error *err) MUST_CHECK;
/* Shows the keys of another config from now on; on an error the old ones stay. */
status key_ring_reload(key_ring *r, const config *c, error *err) MUST_CHECK;
/* After every key_ring_release. */
void key_ring_close(key_ring **r);

keys *key_ring_hold(key_ring *r);
void key_ring_release(key_ring *r, keys *k);

typedef enum key_answer {
    KEY_GOOD,
    KEY_MISSING, /* none was sent */
    KEY_WRONG,   /* none of ours */
    KEY_TWO,     /* both headers hold keys of ours, of two names: who asks is not known */
} key_answer;
/* The values of the two headers, NULL when absent. One that is good is enough: clients send both, one of them a
 * placeholder. A set without keys lets everybody in, as "loopback". Takes as long for any key of that length. */
key_answer keys_find(const keys *k, const char *authorization, const char *x_api_key, const key **out);

const char *key_name(const key *k);
privacy_class key_class(const key *k);
bool key_states_class(const key *k); /* the config says it: it is no default */
const char *key_task(const key *k); /* "": none */
/* limit_enter and limit_leave for this key. */
limit_answer key_enter(key_ring *r, const key *k, uint64_t now_us, double *wait_s);
void key_leave(key_ring *r, const key *k);

#endif
