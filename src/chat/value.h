/* value.h: what a template computes with: Python's values, as far as templates need them (private to chat/).
 *
 * A value is 16 bytes, copied freely; what it points at lives in the run's arena and is never changed after it was
 * made, but for namespaces, loops, generators, cyclers and joiners. `from` of numbers, booleans and containers is the
 * origin of what they look like when they are printed: numbers of the request are data as texts are. */
#ifndef CHAT_VALUE_H
#define CHAT_VALUE_H

#include "base/js.h"
#include "chat/text.h"

typedef enum value_kind {
    V_ABSENT, /* an argument that was not given; never seen by templates */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_BIG, /* an int beyond 64 bits */
    V_FLOAT,
    V_TEXT,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_VIEW, /* dict.keys(), .values(), .items() */
    V_RANGE,
    V_GENERATOR, /* read once */
    V_NAMESPACE,
    V_LOOP,
    V_MACRO,
    V_FUNCTION, /* of the environment */
    V_METHOD,   /* a method with its object */
    V_CYCLER,
    V_JOINER,
    V_SLICE, /* within [ ] only */
} value_kind;

typedef struct value value;
typedef struct list list;
typedef struct dict dict;
typedef struct big big;
typedef struct undefined undefined;
typedef struct view view;
typedef struct range range;
typedef struct generator generator;
typedef struct namespace namespace;
typedef struct loop loop;
typedef struct macro macro;
typedef struct function function;
typedef struct method method;
typedef struct cycler cycler;
typedef struct joiner joiner;
typedef struct slice slice;

struct value {
    uint8_t kind;
    bool b;
    uint32_t from;
    union {
        int64_t i;
        double d;
        const big *big;
        const text *s;
        list *l; /* V_LIST, V_TUPLE */
        dict *m;
        const undefined *u;
        const view *view;
        const range *range;
        generator *g;
        namespace *ns;
        loop *loop;
        const macro *macro;
        const function *function;
        const method *method;
        cycler *cycler;
        joiner *joiner;
        const slice *slice;
    };
};

struct list {
    value *items;
    size_t n, size;
    bool is_group; /* a pair that groupby made: has .grouper and .list */
};

struct dict {
    value *keys, *values;
    size_t n, size;
    uint32_t *index; /* open addressing, entry number + 1; NULL while small */
    size_t index_size;
};

struct undefined {
    const char *hint;  /* the whole message; else */
    value name;        /* of a variable (owner NULL), an attribute or an element */
    const char *owner; /* "dict object" */
    bool unsafe;       /* what the sandbox refuses, with a SecurityError, when it is used */
};

struct view {
    const dict *m;
    enum view_of { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } of;
};

struct range {
    int64_t start, stop, step;
    int64_t n;
};

struct namespace {
    dict m;
};

struct method {
    value self;
    const struct method_row *row;
};

struct cycler {
    list items;
    size_t at;
};

struct joiner {
    const text *sep;
    bool used;
};

struct slice {
    value start, stop, step;
};

/* ---- making ---- */
#define VALUE_ABSENT ((value){ .kind = V_ABSENT })
#define VALUE_NONE ((value){ .kind = V_NONE })
static inline value value_bool(bool b) { return (value){ .kind = V_BOOL, .b = b }; }
static inline value value_int(int64_t i) { return (value){ .kind = V_INT, .i = i }; }
static inline value value_float(double d) { return (value){ .kind = V_FLOAT, .d = d }; }
static inline value value_text(const text *s) { return (value){ .kind = V_TEXT, .s = s }; }
value value_str(run *r, const char *literal);
value value_list(run *r, size_t room);
value value_tuple(run *r, size_t room);
value value_dict(run *r);
value value_js(run *r, const js *j, uint32_t from); /* strings are borrowed */
value undefined_name(run *r, const text *name);
value undefined_hint(run *r, const char *message);
value undefined_of(run *r, value owner, value name);
value undefined_unsafe(run *r, value owner, const text *name);

/* ---- containers ---- */
void list_add(run *r, list *l, value v);
void dict_set(run *r, dict *m, value key, value v); /* a key that cannot be hashed fails */
bool dict_get(run *r, const dict *m, value key, value *out);
bool dict_get_str(run *r, const dict *m, const char *key, value *out);
value view_at(run *r, const view *v, size_t i);

int64_t range_at(const range *g, int64_t i);

/* ---- asking ---- */
const char *value_type(value v);                     /* Python's name: "str" */
const char *value_owner(run *r, value v);            /* "str object", for undefined values */
bool value_true(run *r, value v);
bool value_equal(run *r, value a, value b);
/* -1, 0, 1; 2: neither (NaN). What cannot be ordered fails with Python's sentence about `op`. */
int value_compare(run *r, value a, value b, const char *op);
bool value_is_number(value v);                       /* int, float, bool */
bool value_is_int(value v);                          /* int, bool */
double value_double(run *r, value v);                /* of a number */
bool value_callable(value v);
bool value_iterable(value v);
/* len(); fails where Python has none. */
size_t value_length(run *r, value v);
bool value_in(run *r, value item, value container);
/* An undefined value that is used fails with its message. */
_Noreturn void undefined_fail(run *r, value v);
static inline void value_defined(run *r, value v)
{
    if (v.kind == V_UNDEFINED)
        undefined_fail(r, v);
}

/* ---- walking ---- */
typedef struct iter {
    value v;
    size_t at; /* item, or byte of a text */
} iter;
void iter_open(run *r, iter *it, value v); /* fails: "'int' object is not iterable" */
bool iter_next(run *r, iter *it, value *out);
list *value_items(run *r, value v); /* all of it: a new list, or a list's own */
list *list_copy(run *r, const list *l);

/* next writes the next item, or returns false for ever. */
struct generator {
    bool (*next)(run *r, generator *g, value *out);
    iter source;
    void *state;
};
value value_generator(run *r, bool (*next)(run *, generator *, value *), value source, void *state);
value value_generator_of(run *r, list *items); /* a list that can be read once */

/* ---- printing (print.c) ---- */
const text *value_print(run *r, value v);            /* str(v) */
const text *value_repr(run *r, value v);
void double_repr(double d, char out[40]);            /* "1.0", "1e+16", "inf" */
void build_repr(builder *b, value v);

/* ---- numbers (number.c) ---- */
typedef enum number_op { N_ADD, N_SUB, N_MUL, N_DIV, N_FLOORDIV, N_MOD, N_POW } number_op;
value number_op_of(run *r, number_op op, value a, value b);
value number_negate(run *r, value v);
value number_absolute(run *r, value v);
int number_compare(run *r, value a, value b); /* NaN: 2, neither */
uint64_t number_hash(value v);
/* int(text) with Python's syntax (blanks, sign, underscores; base 0 reads prefixes); false: it is none. */
bool number_parse_int(run *r, span s, int base, value *out);
bool number_parse_float(run *r, span s, double *out);
value number_of_double(run *r, double whole);        /* int(d), d finite */
value number_round(run *r, value v, value digits);
void big_print(run *r, value v, builder *out);
/* An index or a count; fails for what is no int, or none of 64 bits. value_bound: the end of a slice, which clamps. */
int64_t value_index(run *r, value v);
int64_t value_bound(run *r, value v);

#endif
