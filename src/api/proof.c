/* proof.c: GET /v1/privacy/proof: what keeps private texts here, of this server and the processes that it runs. Where
 * no worker runs one is started for it. */
#include "provider/proof.h"

#include "api/api_int.h"

typedef struct proving {
    proof *p;
    bool any_worker;
} proving;

static void add(void *user, provider *own)
{
    proving *v = user;
    v->any_worker = v->any_worker || provider_get_info(own)->kind == PROVIDER_LOCAL;
    proof_add(v->p, own, false);
}

void api_privacy_proof(api *a, http_request *r)
{
    proving v = { NULL, false };
    api_fault f;
    error e = { 0 };
    bool holds;
    if (proof_open(&v.p, a->options.config, &e)) {
        api_refuse_status(&f, "", &e);
        api_reply_fault(r, &f);
        return;
    }
    api_each_provider(a, add, &v);
    if (!v.any_worker)
        proof_try_worker(v.p);
    proof_add_configured(v.p, false);
    js *doc = proof_close(&v.p, &holds);
    if (doc) {
        api_reply_js(r, 200, doc);
    } else {
        api_no_memory(&f);
        api_reply_fault(r, &f);
    }
}
