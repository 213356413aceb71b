#include "route/watch.h"

#include <string.h>

#include "ledger/watch.h"
#include "route/policy.h"
#include "task/task.h"

status route_basis(const struct task *t, const char *local_evidence, const char *cloud_evidence, char out[DIGEST_HEX],
                   error *err)
{
    char suite[DIGEST_HEX], graders[DIGEST_HEX], asked[DIGEST_HEX];
    status s = task_suite_digest(t, suite, err);
    if (!s)
        s = task_grader_digest(t, graders, err);
    if (s)
        return s;
    uint8_t bytes[DIGEST_BYTES];
    digest *d = digest_open();
    if (!d)
        return fail(err, E_NOMEM, "no memory for a digest");
    const char *const fields[] = { local_evidence, cloud_evidence, suite, graders };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        digest_field(d, fields[i], strlen(fields[i]));
    task_prompt_digest(&t->prompt, asked);
    digest_field(d, asked, strlen(asked));
    for (size_t i = 0; i < t->n_variants; i++) {
        task_prompt_digest(&t->variants[i], asked);
        digest_field(d, t->variants[i].provider, strlen(t->variants[i].provider));
        digest_field(d, asked, strlen(asked));
    }
    digest_close(&d, bytes);
    digest_hex(bytes, out);
    return OK;
}

static status replay(ledger *l, const char *of, const char *basis, drift_state *out, error *err)
{
    ledger_shadows rows = { 0 };
    status s = ledger_find_shadows(l, of, basis, &rows, err);
    for (size_t i = 0; !s && i < rows.n; i++) {
        const ledger_shadow *r = &rows.rows[i];
        drift_row row = { r->at_us, r->value, r->base, r->base_low, r->local_fault[0] != 0 };
        drift_add(out, &row);
    }
    ledger_shadows_close(&rows);
    return s;
}

status route_watch(ledger *l, const struct task *t, route_input *in, error *err)
{
    policy *p = NULL;
    int64_t number = 0;
    char basis[DIGEST_HEX];
    status s = policy_open(&p, &number, l, err);
    if (s || !p)
        return s;
    policy_rules(p, t->id, number, &in->rules);
    policy_close(&p);
    in->rules.drift.margin = in->margin > 0 && in->margin < 1 ? in->margin : 0.1;
    drift_init(&in->drift, &in->rules.drift);
    if (!in->local.evidence[0] || !in->cloud.present)
        return OK;
    s = route_basis(t, in->local.evidence, in->cloud.evidence, basis, err);
    return s ? s : replay(l, t->id, basis, &in->drift, err);
}
