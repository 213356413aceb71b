/* scope.h: variables, functions and loops while a template runs (private to chat/).
 *
 * A scope is a list of variables with a parent: what is set belongs to the innermost one, what is read is looked for
 * outwards. That is jinja2's rule: a loop, a macro, a call, a block has one of its own, an if has not. A macro keeps
 * the scope in which it was defined. */
#ifndef CHAT_SCOPE_H
#define CHAT_SCOPE_H

#include "chat/ast.h"

typedef struct binding {
    uint32_t symbol;
    value value;
} binding;

typedef struct scope {
    struct scope *up;
    binding *items;
    size_t n, size;
} scope;

scope *scope_new(run *r, scope *up);
void scope_set(run *r, scope *s, uint32_t symbol, value v);
bool scope_get(run *r, const scope *s, uint32_t symbol, value *out);

/* ---- functions ---- */
typedef struct arguments {
    const value *items;
    size_t n;             /* positional ones */
    const text **names;   /* the others: items[n ...] */
    size_t n_names;
} arguments;

/* A function of C: `names` are its parameters, "a b c"; a NULL takes whatever comes. */
struct function {
    const char *name;
    value (*call)(run *r, const value *a);
    const char *names;
    int needed;
    value (*call_any)(run *r, const arguments *a); /* when names is NULL */
};

struct macro {
    const node *n;
    const text *name;
    scope *at;       /* where it was defined */
    bool is_caller;
};

enum { PARAMETERS_MAX = 6 };
/* Puts the arguments where the parameters are; what was not given is V_ABSENT. Fails as Python does. */
void call_bind(run *r, const char *function_name, const char *names, int needed, const arguments *a,
               value out[PARAMETERS_MAX]);
bool argument_named(run *r, const arguments *a, const char *name, value *out);

value call_value(run *r, value callee, const arguments *a);
value call_method(run *r, value self, const struct method_row *row, const arguments *a);
void macro_repr(builder *b, const macro *m);

/* ---- loops ---- */
struct loop {
    const node *n;
    scope *outer;
    iter source;
    const node *condition; /* items that fail it are skipped, and not counted */
    scope *test_scope;
    value previous, current, following;
    bool has_following, has_previous, started;
    int64_t index0;
    int64_t length; /* -1: not known yet */
    list *ahead;    /* items read to know the length */
    size_t ahead_at;
    value changed; /* the last arguments of loop.changed, V_ABSENT before */
    int depth0;
};
size_t loop_length(run *r, loop *l);
bool loop_next(run *r, loop *l, value *out); /* what `for` and `loop|list` take */
value loop_attribute(run *r, loop *l, const text *name);
void loop_repr(builder *b, const loop *l);
value loop_call(run *r, loop *l, const arguments *a);

/* ---- evaluating (eval.c, exec.c) ---- */
typedef enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE } flow;
value eval(run *r, const node *n, scope *s);
flow exec(run *r, const block *b, scope *s);
void assign(run *r, const node *target, value v, scope *s);
const text *exec_captured(run *r, const block *b, scope *s, flow *leaves);
value run_loop(run *r, const node *n, value sequence, scope *outer, int depth0, flow *leaves);
value get_attribute(run *r, value of, const text *name);
value get_item(run *r, value of, value key);
const struct scope *scope_globals(run *r);

/* What every template finds: range, dict, namespace, raise_exception ... */
bool global_named(run *r, span name, value *out);
value strftime_now(run *r, const value *a);

#endif
