/* proof_int.h: between the two halves of a proof: the processes (proof_helper.c) and all around them (proof.c). */
#ifndef PROVIDER_PROOF_INT_H
#define PROVIDER_PROOF_INT_H

#include "provider/proof.h"
#include "provider/provider_int.h"

struct proof {
    const config *cfg;
    js *doc, *workers, *servers;
    js *reasons, *notes;
    bool any_server;
    bool stderr_is_socket; /* which helpers inherit */
};

void proof_reason(proof *p, const char *format, ...) PRINTF_LIKE(2, 3);
void proof_note(proof *p, const char *format, ...) PRINTF_LIKE(2, 3);

/* Entries of the document about one process; what does not hold becomes a reason. */
js *proof_worker(proof *p, const helper *h, const char *name);
js *proof_egress(proof *p, helper *h, bool busy, const char *name);

#endif
