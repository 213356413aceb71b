/* js.h: JSON (RFC 8259), strict, with numbers that keep their source text.
 *
 * A js is one value; arrays and objects own their members, and js_free frees the whole tree (NULL is allowed).
 * Parsing refuses duplicate keys, trailing text, invalid UTF-8, lone surrogates, depth over JS_DEPTH_MAX and texts over
 * the caller's ceiling. A number is kept as it was written: 0.1 stays 0.1 and 18446744073709551616 is no error.
 * Objects keep insertion order. Getters accept NULL and a value of another type and then answer "not there".
 * Owner thread. Functions that return js * return NULL without memory. */
#ifndef BASE_JS_H
#define BASE_JS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { JS_DEPTH_MAX = 64 };

typedef struct js js;
typedef enum js_type { JS_NULL, JS_BOOL, JS_NUMBER, JS_STRING, JS_ARRAY, JS_OBJECT } js_type;

/* Parses text[0..n). `where` ("cases.jsonl") begins the error sentence, which names line and column;
 * first_line is the number of the text's first line in that file (1 for a whole file). */
status js_parse(js **out, const char *text, size_t n, const char *where, int first_line, error *err) MUST_CHECK;

/* ---- reading ---- */
js_type js_typeof(const js *v); /* JS_NULL for NULL */
const char *js_type_name(js_type type);
bool js_is(const js *v, js_type type); /* false for NULL, also when type is JS_NULL */
size_t js_len(const js *v);           /* members of an array or object, bytes of a string, else 0 */
js *js_at(const js *array, size_t i);
js *js_get(const js *object, const char *key);
/* Walks the members in order: js_member m = { 0 }; while (js_next(object, &m)) … Key and value are borrowed. */
typedef struct js_member {
    const char *key;
    js *value;
    void *at;
} js_member;
bool js_next(const js *object, js_member *m);
const char *js_text(const js *v);           /* a string's bytes (may hold zeros) or a number's text; else NULL */
bool js_bool(const js *v, bool otherwise);
bool js_double(const js *v, double *out);   /* a number within a double's range */
bool js_int(const js *v, int64_t *out);     /* a number that is a whole int64 (1, 1.0 and 1e3 are) */
bool js_equal(const js *a, const js *b);    /* objects without regard to order, numbers by value */

/* ---- building: the container takes what it is given, also on failure (it is freed then) ---- */
js *js_null(void);
js *js_new_bool(bool b);
js *js_new_int(int64_t i);
js *js_new_double(double d);                /* the shortest text that reads back as d; NaN and infinities become null */
js *js_new_number(const char *text);        /* text must be a JSON number, else NULL */
js *js_new_string(const char *s);
js *js_new_stringn(const char *s, size_t n); /* bytes that are not UTF-8 become U+FFFD */
js *js_array(void);
js *js_object(void);
/* A document of many values need not look at each of its calls: what was built since js_begin is whole unless js_lost,
 * which says that some value found no memory. Of the calling thread. */
void js_begin(void);
bool js_lost(void);
bool js_push(js *array, js *v);             /* false: no memory, or v was NULL */
bool js_set(js *object, const char *key, js *v); /* replaces */
bool js_remove(js *object, const char *key);
js *js_copy(const js *v);
void js_free(js *v);

/* ---- writing ---- */
enum js_style {
    JS_COMPACT,   /* {"b":1,"a":2} as inserted, numbers as they were written */
    JS_PRETTY,    /* two blanks a level */
    JS_CANONICAL, /* keys sorted by bytes, numbers shortest (1.0 -> 1, 1e2 -> 100): equal values, equal bytes */
};
void js_write(const js *v, enum js_style style, buf *out); /* NULL writes null */

/* Writes s as a JSON string with its quotes: for streams that are built without a tree. */
void js_write_string(buf *out, const char *s, size_t n);
/* Writes the shortest decimal text that reads back as exactly d ("0.1", "1e+300", "null" for NaN and infinities). */
void js_write_double(buf *out, double d);

/* ---- checking objects from strangers ---- */
/* E_FORMAT naming the first key of object that is not among the n names, with the nearest known one. */
status js_known_keys(const js *object, const char *const *names, size_t n, const char *where, error *err) MUST_CHECK;

#endif
