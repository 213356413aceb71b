/* schema_rules_int.h: one lowering of a schema onto rules.h. Owner thread, for one call of schema_rules.
 *
 * The unit is a set: schemas that all apply to one value, with $ref and allOf followed, so that {"properties": ...} and
 * {"allOf": [...]} beside it are merged by intersecting keyword by keyword. A node whose anyOf or oneOf still has to be
 * chosen is in the set as it is; choosing a branch adds the branch and marks the node. Each set becomes one rule, once:
 * recursion ends there. */
#ifndef GRAMMAR_SCHEMA_RULES_INT_H
#define GRAMMAR_SCHEMA_RULES_INT_H

#include "grammar/rules.h"
#include "grammar/schema_check_int.h"
#include "grammar/schema_int.h"

enum {
    GEN_SETS_MAX = 20000,
    GEN_STEPS_MAX = 2000000,  /* schemas looked at */
    GEN_DEPTH_MAX = 400,      /* of sets within sets */
    GEN_BYTES_MAX = 64 << 20,
    GEN_LITERALS_MAX = 20000, /* values of one enum */
    GEN_PATTERNS_MAX = 6,     /* patternProperties of one object: 2^n kinds of names */
    GEN_COUNTS_MAX = 20000,   /* members times counts where minProperties or maxProperties are to be kept */
    GEN_SHAPED_MAX = 512,     /* characters of a text with a maxLength and a pattern or format: their states multiply */
    GEN_DIGITS = 20,          /* of an integer, before the point: all of 64 bits */
    GEN_FRACTION_DIGITS = 17, /* behind it: a double has no more */
    GEN_VALUES_MAX = 2000,    /* multiples in a range that are written out */
};

/* An element: node << 2, with bits for what was chosen already. */
enum { CHOSEN_ANY = 1, CHOSEN_ONE = 2 };
typedef uint32_t gen_element;

typedef struct gen_set {
    size_t n;
    gen_element *at; /* ascending, each once */
} gen_set;

typedef struct gen_memo {
    gen_set set;
    rule made;
    bool done; /* else under way: a recursion */
} gen_memo;

typedef struct schema_gen {
    const schema *s;
    rules *r;
    lang_set *langs;
    bool relaxed;
    schema_notes *notes;
    error *err;
    arena memory;
    schema_checker check; /* asks whether an enum's value is valid */
    lang *patterns, *formats; /* formats: narrow, whole */
    gen_memo *memo;       /* open addressing by the set */
    size_t n_memo, memo_size;
    schema_node **extra; /* schemas of our own, numbered behind those of s (schema_negate.c) */
    size_t n_extra;
    size_t steps;
    unsigned depth;
    rule comma;           /* ',' and perhaps a space */
} schema_gen;

status gen_no_memory(schema_gen *g);
/* E_UNSUPPORTED at the node's keyword, or a note when relaxed. */
status gen_refuse(schema_gen *g, const schema_node *n, const char *keyword, const char *why);
status gen_count(schema_gen *g, size_t steps);
void *gen_take(schema_gen *g, size_t n, size_t size);

const schema_node *gen_extra(const schema_gen *g, schema_id id);
static inline const schema_node *gen_node(const schema_gen *g, gen_element e)
{
    return e >> 2 < g->s->n_nodes ? &g->s->nodes[e >> 2] : gen_extra(g, e >> 2);
}

/* ---- sets (schema_sets.c) ---- */

/* The set with `more` nodes added and everything they lead to; *never when nothing is valid for all of them. */
status gen_add(schema_gen *g, gen_set from, const schema_id *more, size_t n, gen_set *out, bool *never);
/* The first element with an open choice and its branches; false when there is none. */
bool gen_choice(const schema_gen *g, gen_set set, size_t *element, schema_list *branches, bool *one);
/* The set in which that element's choice is `branch`. */
status gen_choose(schema_gen *g, gen_set set, size_t element, bool one, schema_id branch, gen_set *out, bool *never);
/* The kinds of value all elements allow. */
unsigned gen_kinds(const schema_gen *g, gen_set set);
/* Is the value valid for every node in the set? */
status gen_valid(schema_gen *g, gen_set set, const js *value, bool *valid);
/* Could it be, as far as the elements' own keywords say? Choices, made or not, play no part: within the proof that the
 * branches of a oneOf are disjoint, that oneOf must not be its own witness. */
status gen_may_be_valid(schema_gen *g, gen_set set, const js *value, bool *valid);
/* Some element's const or enum: the candidates. */
bool gen_literals(const schema_gen *g, gen_set set, const js **list, const js **single);
/* Does node `from` apply node `to` to the same value (itself included)? */
bool gen_applies(schema_gen *g, schema_id from, schema_id to);

/* ---- what is taken away (schema_negate.c) ---- */

/* The schema of objects without the member. */
status gen_forbid(schema_gen *g, const char *name, schema_id *out);
/* `not` of the elements: fewer kinds, members left out of *set. E_UNSUPPORTED for what cannot be done so. */
status gen_negations(schema_gen *g, gen_set *set, unsigned *kinds);
/* Takes the texts out of *l that `not` of the elements names. */
status gen_without_texts(schema_gen *g, gen_set set, lang *l);

/* ---- the language of a set; RULES_NONE when it is empty and that is seen at once ---- */
status gen_rule(schema_gen *g, gen_set set, rule *out);

/* ---- parts: for sets without open choices and literals ---- */
status gen_number(schema_gen *g, gen_set set, unsigned kinds, lang *out);
status gen_text(schema_gen *g, gen_set set, lang *out);    /* of the values; LANG_NONE for none */
status gen_accepts(schema_gen *g, gen_set set, lang *out); /* all texts that are valid: formats not narrowed */
/* The texts among the values of any set, choices and literals included: what propertyNames allows. */
status gen_names(schema_gen *g, gen_set set, lang *out);
status gen_pattern(schema_gen *g, uint32_t pattern, lang *out);
status gen_array(schema_gen *g, gen_set set, rule *out);
status gen_object(schema_gen *g, gen_set set, rule *out);

/* What a set says about an array or object, for both gen_array/gen_object and gen_apart. */
typedef struct gen_array_shape {
    size_t min, max, n_prefix;
} gen_array_shape;
void gen_array_shape_of(const schema_gen *g, gen_set set, gen_array_shape *out);
status gen_item_set(schema_gen *g, gen_set set, size_t index, gen_set *out, bool *never);
/* *any: nothing is said about the member. */
status gen_member_set(schema_gen *g, gen_set set, const char *name, gen_set *out, bool *never, bool *any);
bool gen_requires(const schema_gen *g, gen_set set, const char *name);
/* Would a document of the set's language ever have this member? Declared, required, or a free name. */
status gen_may_have(schema_gen *g, gen_set set, const char *name, bool *out);

/* No document that is generated for a is valid for b: provable, or *out is false. */
status gen_apart(schema_gen *g, gen_set a, gen_set b, unsigned depth, bool *out);

/* ---- numbers (schema_number_lang.c) ---- */
typedef struct gen_range { /* NULL: open */
    const decimal *low, *high;
    bool low_open, high_open; /* the bound itself is not in it */
} gen_range;
void gen_range_of(const schema_gen *g, gen_set set, gen_range *out);
/* The integers, or the decimals without exponent, of the range. */
status gen_range_lang(schema_gen *g, const gen_range *range, bool integers, lang *out);

#endif
