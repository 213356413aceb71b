/* proof.h: what keeps private texts on this machine, here and now: by attempts and by what the kernel says of each
 * process, not by what the program says of itself. One document:
 *
 *   {holds, reasons: [text], notes: [text], at, build,
 *    workers: [{provider, model, process, private: served|refused, why, sandbox: {..., checks}, descriptors: as it
 *               said, kernel: plat/witness.h}],
 *    servers: [{provider, host, place, class_max, key, proxy?, address, refuses: {private, secret},
 *               processes: [{process, sandbox, closed: [{path, errno, denied}], kernel, refuses | null: busy}]}],
 *    front: {process, kernel, keys: [{provider, from, name, in_this_process}]},
 *    classes: {CLASS: {places, providers, servers}}, config: {path, sha256, on_disk}, detectors,
 *    audit: {there, whole, can_append, why, chain, record, sha256}}
 *
 * reasons: what does not hold. notes: what a person may want to know though it holds. One thread. */
#ifndef PROVIDER_PROOF_H
#define PROVIDER_PROOF_H

#include "provider/provider.h"

typedef struct proof proof;

/* cfg outlives it. E_NOMEM. */
status proof_open(proof **out, const config *cfg, error *err) MUST_CHECK;
/* A provider that is open: its processes. Of a server also whether it refuses what may not leave; start: its process is
 * started where none runs, and asked nothing that it may send. */
void proof_add(proof *p, provider *own, bool start);
/* A worker that is started for this, reads no model, and ends. */
void proof_try_worker(proof *p);
/* The configured servers that were not added. */
void proof_add_configured(proof *p, bool start);
/* The document (js_free); *holds. NULL without memory: then nothing is proved. Frees the proof. */
js *proof_close(proof **p, bool *holds);

#endif
