/* gguf_int.h: private to src/gguf. A part is one file's directory, as parsed; a gguf is the parts merged. */
#ifndef GGUF_GGUF_INT_H
#define GGUF_GGUF_INT_H

#include "gguf/gguf.h"
#include "plat/file_map.h"

/* Everything points into bytes[0..n_bytes). Zero-initialise; gguf_part_clear frees the arrays. */
typedef struct gguf_part {
    char *name; /* for errors */
    file_map map;
    const unsigned char *bytes;
    uint64_t n_bytes;    /* what we have: the whole file, or a prefix of it */
    uint64_t file_bytes; /* what the file has */
    uint32_t version;
    uint64_t alignment;
    uint64_t data_at; /* where the tensor data begins */
    gguf_value *keys;
    size_t n_keys;
    gguf_tensor *tensors;
    size_t n_tensors;
} gguf_part;

/* A name and where it is in its array; sorted by name for look-up. */
typedef struct gguf_entry {
    span name;
    size_t i;
} gguf_entry;

struct gguf {
    char *name;
    gguf_part *parts;
    int n_parts;
    gguf_entry *key_index;
    gguf_tensor *tensors; /* of all parts */
    size_t n_tensors;
    gguf_entry *tensor_index;
    uint64_t data_bytes;
    void *owned; /* the bytes of the only part, where they are the gguf's own; NULL: they are mapped or borrowed */
};

/* Parses and checks p->bytes; p->name, bytes, n_bytes and file_bytes are set. On error p holds what gguf_part_clear
 * frees. */
status gguf_part_parse(gguf_part *p, error *err) MUST_CHECK;
void gguf_part_clear(gguf_part *p);

/* gguf_parse over bytes that become the gguf's own (mem_alloc), also when it fails. */
status gguf_parse_owned(gguf **out, void *bytes, size_t n_bytes, uint64_t file_bytes, const char *name, error *err)
    MUST_CHECK;

/* Sorts n names; E_FORMAT when one occurs twice ("file: what 'name' occurs twice"). *out is freed by the caller. */
status gguf_index(gguf_entry **out, const void *items, size_t stride, size_t n, const char *file, const char *what,
                  error *err) MUST_CHECK;
/* Index of name in the sorted entries, or SIZE_MAX. */
size_t gguf_index_find(const gguf_entry *entries, size_t n, span name);

/* A name from the file for a message: at most 64 bytes, everything but printable ASCII escaped. Returns text. */
enum { GGUF_QUOTE_BYTES = 64 * 4 + 8 };
char *gguf_quote(char text[GGUF_QUOTE_BYTES], span name);

/* Little-endian loads from any address. */
static inline uint32_t gguf_load_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t gguf_load_u64(const unsigned char *p)
{
    return gguf_load_u32(p) | (uint64_t)gguf_load_u32(p + 4) << 32;
}

/* Bytes of one element; 0 for strings, arrays and what is no type. */
size_t gguf_type_bytes(uint32_t type);

#endif
