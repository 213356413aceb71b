/* differ.c: why an answer does not count any more, in words. */
#include <stdio.h>
#include <string.h>

#include "ledger/ledger.h"

char *ledger_evidence_differs(const ledger_evidence *old, const ledger_evidence *now, char *text, size_t bytes)
{
    const char *constraint = now->constrained ? "a grammar constrains the output now"
                                              : "no grammar constrains the output any more";
    const struct {
        const char *a, *b, *says;
    } fields[] = {
        { old->source, now->source, "its address changed" },
        { old->model, now->model, "the model file changed" },
        { old->numerics, now->numerics, "hearth's arithmetic changed" },
        { old->kv_type, now->kv_type, "the KV type changed" },
        { old->context_rule, now->context_rule, "the context limit changed" },
        { old->constrained ? "1" : "0", now->constrained ? "1" : "0", constraint },
        { old->sampling, now->sampling, "the sampling options changed" },
    };
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(fields) && at < bytes; i++)
        if (strcmp(fields[i].a, fields[i].b) != 0)
            at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? ", " : "", fields[i].says);
    return text;
}
