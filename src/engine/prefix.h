/* prefix.h: the prefix cache: full KV pages that are remembered by the tokens before and in them, so that a prompt that
 * begins like an earlier one is not computed again. Private to src/engine; owner thread of the engine.
 *
 * A tree for every scope (whose prompts these are), a node for every 64 tokens. A node is one of the holders of its
 * pages (kv_pool counts them); sessions that continue from it are others. Pages in the tree are never written: a
 * session that goes back into one of them takes a copy first (session.c). A page that only the tree holds is as good as
 * free: prefix_reclaim gives back the one that was used longest ago.
 *
 * Invariants: a node's global page is there as long as the node (window pages may be given back before); a node with
 * children is never removed; a session that remembers holds the very pages of the tree, so that nothing is kept twice
 * and whoever holds a node's pages holds its parents'. Nothing is allocated after prefix_open. */
#ifndef ENGINE_PREFIX_H
#define ENGINE_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/model.h"

struct engine;
struct session;
typedef struct prefix_cache prefix_cache;

enum { PREFIX_NONE = -1 };

size_t prefix_bytes(uint32_t n_nodes);
/* n_nodes: as many as there are pages. */
status prefix_open(prefix_cache **out, uint32_t n_nodes, error *err) MUST_CHECK;
void prefix_close(prefix_cache **p); /* the pages go with their pools */

/* The scope of that name, made if need be: it is kept while somebody uses it. PREFIX_NONE: all are in use. */
int prefix_scope_use(struct engine *e, const char *name);
void prefix_scope_leave(struct engine *e, int scope);

/* How many of tokens[0..n) the scope's tree holds in whole pages that a session can continue from: a multiple of 64.
 * *window_from: the first page whose window layers are there too. */
uint32_t prefix_match(struct engine *e, int scope, const int32_t *tokens, uint32_t n, uint32_t *window_from);
/* Writes the pages of the first n of these tokens (a length that prefix_match found) into the lists; each gets one
 * holder more. Of window layers those from window_from on. */
void prefix_take(struct engine *e, int scope, const int32_t *tokens, uint32_t n, uint32_t window_from,
                 model_pages *pages);
/* Enters the session's full pages; where the tree has a page already, the session holds that one from now on. */
void prefix_enter(struct engine *e, int scope, struct session *s);

/* Gives back one page of the kind that nobody but the tree holds. False: there is none. */
bool prefix_reclaim(struct engine *e, int kind);
/* Takes this page out of the tree. False: it is not there, or a global page whose node has children. */
bool prefix_drop_page(struct engine *e, int kind, const char *page);
/* Empties one scope, or all (NULL). */
void prefix_forget(struct engine *e, const char *name);

/* ---- for snapshots (snapshot.c) ---- */

enum { PREFIX_SCOPES = 64 };

/* A node as it is seen from outside. */
typedef struct prefix_view {
    const int32_t *tokens;    /* KERNELS_PAGE of them */
    char *pages[MODEL_KINDS]; /* NULL: it has none of this kind */
    int32_t parent;           /* a node, or -1 */
    int scope;
    uint64_t used;            /* the larger, the later */
} prefix_view;

uint32_t prefix_nodes(const struct engine *e);
/* False: node i (below prefix_nodes) is free. */
bool prefix_look(const struct engine *e, uint32_t i, prefix_view *out);
const char *prefix_scope_name(const struct engine *e, int scope);
/* A node below parent (-1: the scope's root) whose pages get the tree as one holder more; used as it is said, and the
 * clock goes on from there. Nothing is reclaimed for it. Its number; -1: no node is free, or these tokens are there. */
int32_t prefix_add(struct engine *e, const prefix_view *v);

#endif
