/* differ.c: why an answer does not count any more, in words. */
#include <stdio.h>
#include <string.h>

#include "ledger/ledger.h"

static const char *field_of(const ledger_evidence *e, evidence_field field)
{
    const char *const fields[EVIDENCE_FIELDS] = { e->source, e->model, e->numerics, e->kv_type, e->context_rule,
                                                  e->constrained ? "1" : "0", e->sampling };
    return fields[field];
}

bool ledger_field_differs(const ledger_evidence *a, const ledger_evidence *b, evidence_field field)
{
    return strcmp(field_of(a, field), field_of(b, field)) != 0;
}

char *ledger_evidence_differs(const ledger_evidence *old, const ledger_evidence *now, char *text, size_t bytes)
{
    const char *constraint = now->constrained ? "a grammar constrains the output now"
                                              : "no grammar constrains the output any more";
    const char *const says[EVIDENCE_FIELDS] = {
        "its address changed",       "the model file changed", "hearth's arithmetic changed",   "the KV type changed",
        "the context limit changed", constraint,               "the sampling options changed",
    };
    size_t at = 0;
    text[0] = 0;
    for (int f = 0; f < EVIDENCE_FIELDS && at < bytes; f++)
        if (ledger_field_differs(old, now, (evidence_field)f))
            at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? ", " : "", says[f]);
    return text;
}
