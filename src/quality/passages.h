/* passages.h: texts as models read them when they are judged by them: sequences of tokens, each from its beginning, of
 * which the tokens from `first` on are judged, given all before them in the same passage.
 *
 * A passage belongs to a cluster: what stands near together in a text, or is asked in one case, is alike, and an
 * interval that takes every token for an observation of its own is too narrow. Owner thread. */
#ifndef QUALITY_PASSAGES_H
#define QUALITY_PASSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "token/vocab.h"

enum { PASSAGES_TOKENS_MAX = 64 << 20, PASSAGES_MAX = 1 << 22 };

typedef struct passage {
    size_t at;        /* its tokens are passages.tokens.ids[at .. at + n) */
    uint32_t n;
    uint32_t first;   /* 1 .. n - 1 */
    uint32_t cluster; /* < passages.n_clusters */
} passage;

typedef struct passages {
    token_list tokens;
    passage *items;
    size_t n, room;
    size_t n_judged;     /* tokens, over all passages */
    uint32_t n_clusters;
    uint32_t longest;    /* tokens of the longest passage: the context that is needed */
} passages;

/* Zero-initialise with this; clear frees. */
#define PASSAGES_INIT { TOKEN_LIST_INIT(PASSAGES_TOKENS_MAX), NULL, 0, 0, 0, 0, 0 }
void passages_clear(passages *p);

/* Clusters are numbered in the order in which they come: cluster <= p->n_clusters. E_RANGE: it is not, or there is
 * nothing to judge (first is not 1 .. n - 1), or a ceiling; E_NOMEM. */
status passages_add(passages *p, const int32_t *ids, uint32_t n, uint32_t first, uint32_t cluster, error *err)
    MUST_CHECK;

/* A text in windows of `window` tokens, at most `most` of them (0: all), each a passage and a cluster, cut and judged
 * as llama-perplexity does: what is left at the end is not read; the first token of every window is the begin token
 * where the model wants one; judged are the tokens after the middle one, window / 2 + 1 to window - 1. E_RANGE when
 * the text does not fill one window (`name` begins the sentence). */
status passages_windows(passages *p, const vocab *v, const char *text, size_t n, const char *name, uint32_t window,
                        uint32_t most, error *err) MUST_CHECK;

#endif
