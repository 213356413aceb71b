/* write.h: a streaming GGUF (version 3) writer. Owner thread.
 *
 * Order of calls: gguf_writer_open, keys, gguf_writer_tensor for every tensor, then gguf_writer_data with each tensor's
 * bytes in the declared order (in pieces of any size), gguf_writer_finish. The bytes go to PATH.part, which becomes
 * PATH only when finish succeeds; close without finish removes it. Failures stick: write freely, finish reports the
 * first.
 *
 * A header alone, of a file that need not exist: gguf_writer_open_header, keys, tensors, gguf_writer_header. */
#ifndef GGUF_WRITE_H
#define GGUF_WRITE_H

#include "gguf/gguf.h"

typedef struct gguf_writer gguf_writer;

status gguf_writer_open(gguf_writer **out, const char *path, error *err) MUST_CHECK;
/* Writes no file; `name` is what errors, and the gguf, call it. Data is an error. */
status gguf_writer_open_header(gguf_writer **out, const char *name, error *err) MUST_CHECK;
/* Power of two; default 32. Before the first tensor. Also writes the key general.alignment when it is not 32. */
void gguf_writer_alignment(gguf_writer *w, uint32_t alignment);

void gguf_writer_u32(gguf_writer *w, const char *key, uint32_t v);
void gguf_writer_i32(gguf_writer *w, const char *key, int32_t v);
void gguf_writer_u64(gguf_writer *w, const char *key, uint64_t v);
void gguf_writer_f32(gguf_writer *w, const char *key, float v);
void gguf_writer_bool(gguf_writer *w, const char *key, bool v);
void gguf_writer_str(gguf_writer *w, const char *key, const char *text);
/* n elements of a numeric type, in memory as in C (native order). */
void gguf_writer_array(gguf_writer *w, const char *key, gguf_type type, const void *elements, uint64_t n);
void gguf_writer_strings(gguf_writer *w, const char *key, const span *texts, uint64_t n);
/* Of a header alone: n zeros; of GGUF_STR n texts that together have text_bytes (all of them the first one's). A
 * stand-in of the right size, which takes memory only where it is read. */
void gguf_writer_blank(gguf_writer *w, const char *key, gguf_type type, uint64_t n, uint64_t text_bytes);
/* Any value of an open file, as it is, under its own key. */
void gguf_writer_copy(gguf_writer *w, const gguf_value *v);

void gguf_writer_tensor(gguf_writer *w, const char *name, uint32_t type, int n_dims, const uint64_t *ne);
void gguf_writer_data(gguf_writer *w, const void *bytes, size_t n);

/* Pads, flushes to disk, renames. Frees the writer whatever the outcome. */
status gguf_writer_finish(gguf_writer **w, error *err) MUST_CHECK;
void gguf_writer_close(gguf_writer **w);

/* What gguf_open would say of the file that these keys and tensors make, down to its length; only the tensors have no
 * data. Frees the writer, one of gguf_writer_open_header, whatever the outcome. Close the gguf with gguf_close. */
status gguf_writer_header(gguf_writer **w, gguf **out, error *err) MUST_CHECK;

#endif
