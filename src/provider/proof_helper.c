/* proof_helper.c: one helper process: what it attempted, what the kernel says of it, and what follows. */
#include <stdio.h>
#include <string.h>

#include "plat/clock.h"
#include "plat/sandbox.h"
#include "provider/proof_int.h"
#include "provider/self_test.h"

static bool says(const js *o, const char *name)
{
    return js_bool(js_get(o, name), false);
}

static unsigned count(const js *descriptors, const char *name)
{
    int64_t n = 0;
    return js_int(js_get(descriptors, name), &n) && n > 0 ? (unsigned)n : 0;
}

/* What holds for every helper. */
static void judge_process(proof *p, const char *who, const js *sandbox, const witness *w)
{
    if (!w->known)
        proof_reason(p, "%s: the kernel does not say anything of it: it has ended, or /proc is not there", who);
    if (w->no_new_privs == 0)
        proof_reason(p, "%s: it may gain privileges (no_new_privs is off)", who);
    if (says(sandbox, "dumpable"))
        proof_reason(p, "%s: other programs of this user may read its memory (dumpable)", who);
    if (!says(sandbox, "dies_with_parent"))
        proof_reason(p, "%s: it would not end with this process", who);
    if (!says(sandbox, "landlock"))
        proof_note(p, "%s: this kernel has no Landlock: what it may open is for seccomp%s alone to deny", who,
                   strstr(who, "egress") ? " and the files' permissions" : "");
}

/* One end of a pair, and the journal's where the front's standard error is one. */
static void judge_descriptors(proof *p, const char *who, const js *d)
{
    unsigned inet = count(d, "listening") + count(d, "accepted") + count(d, "outbound");
    unsigned pairs = count(d, "unix_sockets") + count(d, "other_sockets");
    if (!js_is(d, JS_OBJECT))
        proof_reason(p, "%s: nobody says what it has open", who);
    else if (inet || pairs > 1u + p->stderr_is_socket)
        proof_reason(p, "%s: it has %u sockets of the internet and %u others; one, to this process, is its due", who,
                     inet, pairs);
}

static void judge_network(proof *p, const char *who, const js *sandbox, const witness *w)
{
    if (!says(sandbox, "empty_network"))
        proof_note(p, "%s: this system gives it no network namespace of its own: seccomp alone denies it the network",
                   who);
    else if (!w->network_known)
        proof_note(p, "%s: the counters of its network namespace cannot be read", who);
    else if (w->interfaces || w->received_bytes || w->sent_bytes)
        proof_reason(p, "%s: its network namespace is not empty: %u interfaces, %llu bytes received, %llu sent", who,
                     w->interfaces, (unsigned long long)w->received_bytes, (unsigned long long)w->sent_bytes);
}

js *proof_worker(proof *p, const helper *h, const char *name)
{
    const js *sandbox = js_get(h->hello, "sandbox"), *said = js_get(h->hello, "descriptors");
    char why[SELF_TEST_WHY], who[200];
    witness w;
    witness_read(h->process.pid, &w);
    snprintf(who, sizeof who, "worker %d (%.120s)", h->process.pid, name);
    self_test t = self_test_judge(sandbox, &w, why);
    bool serves = self_test_allows(t, PRIVACY_PRIVATE, p->any_server);
    if (t != SELF_TEST_HOLDS)
        proof_reason(p, "%s: %s: private requests are %s", who, why, serves ? "answered, since no remote provider is "
                     "configured" : "refused");
    js *o = js_object(), *kernel = witness_to_js(&w);
    judge_process(p, who, sandbox, &w);
    judge_descriptors(p, who, js_is(js_get(kernel, "descriptors"), JS_OBJECT) ? js_get(kernel, "descriptors") : said);
    judge_network(p, who, sandbox, &w);
    js_set(o, "provider", js_new_string(name));
    js_set(o, "process", js_new_int(h->process.pid));
    js_set(o, "private", js_new_string(serves ? "served" : "refused"));
    js_set(o, "why", js_new_string(why));
    js_set(o, "sandbox", js_copy(sandbox));
    js_set(o, "descriptors", said ? js_copy(said) : js_null());
    js_set(o, "kernel", kernel);
    return o;
}

/* ---- egress ---- */

/* Says to egress itself, past everything that would stop it before, that a request of this class is to leave. It has
 * no text, and no record of the audit log either: were the class let through, the record would be missing. *gone: it
 * ended instead of an answer. */
static bool refuses(helper *h, privacy_class c, bool *gone)
{
    enum { WAIT_MS = 5000 };
    char model[CALL_MODEL_MAX];
    error err = { 0 };
    call k = { .limits = { WAIT_MS, WAIT_MS, WAIT_MS, WAIT_MS }, .start_us = clock_mono_us(), .model = model };
    js *payload = js_object();
    k.last_us = k.start_us;
    js_set(payload, "privacy", js_new_string(privacy_class_name(c)));
    js_set(payload, "path", js_new_string("/self-test"));
    js_set(payload, "body", js_object());
    status s = helper_complete(h, payload, &k, &err);
    js_free(payload);
    *gone = s == E_PROVIDER && k.fault_set && k.fault.kind == FAULT_CRASHED;
    return s == E_DENIED && strstr(err.text, "of this class");
}

static void judge_closed(proof *p, const char *who, const js *sandbox, const js *closed)
{
    for (size_t i = 0; i < js_len(closed); i++) {
        const js *c = js_at(closed, i);
        const char *path = js_text(js_get(c, "path"));
        if (says(c, "denied"))
            continue;
        if (says(sandbox, "landlock"))
            proof_reason(p, "%s: it can read %s", who, path ? path : "?");
        else
            proof_note(p, "%s: it can read %s", who, path ? path : "?");
    }
}

js *proof_egress(proof *p, helper *h, bool busy, const char *name)
{
    const js *sandbox = js_get(h->opened, "sandbox"), *closed = js_get(h->opened, "closed");
    const js *checks = js_get(sandbox, "checks");
    char who[200];
    witness w;
    witness_read(h->process.pid, &w);
    snprintf(who, sizeof who, "egress %d (%.120s)", h->process.pid, name);
    judge_process(p, who, sandbox, &w);
    if (!says(sandbox, "seccomp") || (w.seccomp >= 0 && w.seccomp != 2))
        proof_reason(p, "%s: seccomp does not confine it", who);
    for (size_t i = 0; i < js_len(checks); i++)
        if (!says(js_at(checks, i), "denied"))
            proof_reason(p, "%s: %s was not denied", who, js_text(js_get(js_at(checks, i), "name")));
    if (js_len(checks) < sandbox_test_count(SANDBOX_NETWORK))
        proof_reason(p, "%s: it did not attempt all forbidden calls", who);
    if (w.descriptors.known && w.descriptors.listening + w.descriptors.accepted)
        proof_reason(p, "%s: it listens for others", who);
    judge_closed(p, who, sandbox, closed);
    js *o = js_object(), *refused = busy ? js_null() : js_object();
    static const privacy_class tried[] = { PRIVACY_PRIVATE, PRIVACY_SECRET };
    for (size_t i = 0; i < ARRAY_LEN(tried) && !busy; i++) {
        bool gone = false, yes = refuses(h, tried[i], &gone);
        js_set(refused, privacy_class_name(tried[i]), gone ? js_null() : js_new_bool(yes));
        if (gone)
            proof_note(p, "%s: it ended when it was asked", who);
        else if (!yes)
            proof_reason(p, "%s: it did not refuse a %s request", who, privacy_class_name(tried[i]));
    }
    js_set(o, "process", js_new_int(h->process.pid));
    js_set(o, "sandbox", js_copy(sandbox));
    js_set(o, "closed", closed ? js_copy(closed) : js_array());
    js_set(o, "kernel", witness_to_js(&w));
    js_set(o, "refuses", refused);
    return o;
}
