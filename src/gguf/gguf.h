/* gguf.h: reading GGUF files (versions 2 and 3). A gguf owns its mappings and its directory.
 *
 * Everything is checked when it is opened: afterwards each key, string and tensor lies inside the file, names are
 * unique, types are known (quant_find) and sizes do not overflow, so the accessors need no further checks. The file
 * is a stranger: errors name the file, what and where, with foreign bytes escaped.
 * Values and names point into the mapping: little endian, not aligned, valid until gguf_close.
 *
 * Threads: open and close by the owner; everything else reads only and may be called from any thread.
 * The file must not be truncated by others while it is open (as with every mapping). */
#ifndef GGUF_GGUF_H
#define GGUF_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

typedef struct gguf gguf;

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Ceilings for what a header may ask for; no known file comes near. */
enum {
    GGUF_MAX_KEYS = 1 << 16,
    GGUF_MAX_TENSORS = 1 << 18,
    GGUF_MAX_FILES = 1024,
    GGUF_MAX_NAME = 63,   /* bytes of a tensor's name */
    GGUF_MAX_DIMS = 4,
};

/* Maps path. Of a split model ("NAME-00001-of-0000N.gguf") the first part is given and the others are found beside it;
 * keys come from the first, tensors from all. Free with gguf_close.
 * Errors: E_IO cannot open; E_FORMAT not a GGUF file, damaged or truncated (says how many bytes are missing);
 * E_UNSUPPORTED version, byte order or a tensor type; E_NOTFOUND a part of a split model; E_NOMEM. */
status gguf_open(gguf **out, const char *path, error *err) MUST_CHECK;

/* The same over descriptors that are already open: all parts in order (n = 1: a single file). They are borrowed: the
 * caller may close them at once. `name` is what errors call the file. */
status gguf_open_fds(gguf **out, const int *fds, int n, const char *name, error *err) MUST_CHECK;

/* The same over the first n_bytes of a file of file_bytes (n_bytes <= file_bytes), which stay the caller's and must
 * outlive the gguf. Tensors beyond the prefix have data == NULL. E_RANGE: the header goes on past n_bytes, ask again
 * with more. A split model gives only this part's tensors (gguf_n_files() is 1, the key split.count says how many). */
status gguf_parse(gguf **out, const void *bytes, size_t n_bytes, uint64_t file_bytes, const char *name, error *err)
    MUST_CHECK;

/* The same over all parts of a split model, in order: their first bytes, each its whole header. n = 1: one file. */
typedef struct gguf_prefix {
    const void *bytes;
    size_t n_bytes;
    uint64_t file_bytes;
} gguf_prefix;
status gguf_parse_parts(gguf **out, const gguf_prefix *parts, int n, const char *name, error *err) MUST_CHECK;

void gguf_close(gguf **g);

/* The paths of all parts of the model whose first part is `path`, by its name alone (a single file: itself). Writes
 * part i (0-based) and returns OK; E_RANGE past the last; E_FORMAT when path names a part that is not the first. */
status gguf_part_path(const char *path, unsigned i, char *out, size_t out_bytes, error *err) MUST_CHECK;

/* ---- about the file ---------------------------------------------------------------------------------------------- */

const char *gguf_file_name(const gguf *g); /* as given to open */
uint32_t gguf_version(const gguf *g);
uint64_t gguf_alignment(const gguf *g);
int gguf_n_files(const gguf *g);
uint64_t gguf_file_bytes(const gguf *g, int file);
uint64_t gguf_header_bytes(const gguf *g, int file); /* where the tensor data begins, counted from the file's start */
uint64_t gguf_data_bytes(const gguf *g);             /* sum of all tensors, without padding */

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* The numbers in the file. */
typedef enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STR = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12,
} gguf_type;

typedef struct gguf_value {
    span key;
    gguf_type type;            /* of the value, or of the elements; never GGUF_ARRAY */
    bool is_array;
    uint64_t n;                /* elements; 1 when not an array */
    const unsigned char *data; /* first element; a string is u64 length + bytes */
    uint64_t bytes;            /* of all elements */
} gguf_value;

size_t gguf_n_keys(const gguf *g);
const gguf_value *gguf_key_at(const gguf *g, size_t i); /* in file order */
const gguf_value *gguf_find(const gguf *g, const char *key); /* NULL: not there; O(log n) */
const char *gguf_type_name(gguf_type type);

/* Scalars. E_NOTFOUND: the key is missing; E_FORMAT: it has another type; E_RANGE: an integer that does not fit. Any
 * integer type is accepted where the value fits, f64 where f32 is wanted. *out is written only on success. */
status gguf_u32(const gguf *g, const char *key, uint32_t *out, error *err) MUST_CHECK;
status gguf_i32(const gguf *g, const char *key, int32_t *out, error *err) MUST_CHECK;
status gguf_u64(const gguf *g, const char *key, uint64_t *out, error *err) MUST_CHECK;
status gguf_f32(const gguf *g, const char *key, float *out, error *err) MUST_CHECK;
status gguf_bool(const gguf *g, const char *key, bool *out, error *err) MUST_CHECK;
status gguf_str(const gguf *g, const char *key, span *out, error *err) MUST_CHECK;
/* An array of n_want elements (0: any number) of this type (integers: any integer type when type is GGUF_I64). */
status gguf_array(const gguf *g, const char *key, gguf_type type, uint64_t n_want, const gguf_value **out, error *err)
    MUST_CHECK;

/* The same for optional keys: a missing one gives OK and the fallback; a wrong type is still an error. */
status gguf_u32_or(const gguf *g, const char *key, uint32_t fallback, uint32_t *out, error *err) MUST_CHECK;
status gguf_f32_or(const gguf *g, const char *key, float fallback, float *out, error *err) MUST_CHECK;
status gguf_bool_or(const gguf *g, const char *key, bool fallback, bool *out, error *err) MUST_CHECK;
status gguf_str_or(const gguf *g, const char *key, const char *fallback, span *out, error *err) MUST_CHECK;

/* Element i < v->n of a numeric value, converted: integers and bools exactly as two's complement in 64 bits, floats
 * truncated and saturated (NaN 0) by gguf_get_i64. Not for strings. */
int64_t gguf_get_i64(const gguf_value *v, uint64_t i);
uint64_t gguf_get_u64(const gguf_value *v, uint64_t i);
double gguf_get_f64(const gguf_value *v, uint64_t i);

/* Strings one after the other, without copying:
 *     gguf_strings it = gguf_strings_of(v); span s;
 *     while (gguf_strings_next(&it, &s)) ...                 a value of another type yields none */
typedef struct gguf_strings {
    const unsigned char *p;
    uint64_t left;
} gguf_strings;
gguf_strings gguf_strings_of(const gguf_value *v);
bool gguf_strings_next(gguf_strings *it, span *out);

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

typedef struct gguf_tensor {
    span name;
    uint32_t type; /* enum quant_type; quant_find(type) is never NULL, its decode may be */
    int n_dims;
    uint64_t ne[4];    /* ne[0] = row length; unused dimensions are 1; never 0 */
    uint64_t offset;   /* from the start of the data section of its file */
    const void *data;  /* aligned to gguf_alignment() in the file, not necessarily more than 1 in memory */
    uint64_t bytes;    /* all rows, without padding */
    int file;          /* which part */
} gguf_tensor;

size_t gguf_n_tensors(const gguf *g);
const gguf_tensor *gguf_tensor_at(const gguf *g, size_t i); /* in file order, part after part */
const gguf_tensor *gguf_tensor_find(const gguf *g, const char *name); /* NULL: not there; O(log n) */
uint64_t gguf_tensor_rows(const gguf_tensor *t);                       /* ne[1] * ne[2] * ne[3] */
/* "576 x 49152" into text (>= 96 bytes), returned. */
char *gguf_tensor_shape(const gguf_tensor *t, char text[96]);

/* Optional: reads every row and refuses NaN and infinite scales or values (quant.h `check`), naming tensor, row,
 * block. */
status gguf_check_rows(const gguf *g, const gguf_tensor *t, error *err) MUST_CHECK;

/* Gives the memory of the mapped pages around data[0..bytes) back to the system; they stay in the page cache, and
 * reading them again maps them again. Call it in steps of <= 4 MiB while repacking, so that file and copy never both
 * count. */
enum { GGUF_RELEASE_STEP = 4 << 20 };
void gguf_release(const gguf *g, const void *data, size_t bytes);

#endif
