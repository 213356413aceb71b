/* write.h: a streaming GGUF (version 3) writer. Owner thread.
 *
 * Order of calls: gguf_writer_open, keys, gguf_writer_tensor for every tensor, then the tensors' bytes, in the declared
 * order with gguf_writer_data or in any with gguf_writer_data_at, gguf_writer_finish. The bytes go to PATH.part, which
 * becomes PATH only when finish succeeds; close without finish removes it. Failures stick: write freely, finish reports
 * the first. PATH.part is locked: of two writers of one PATH the second is refused.
 *
 * A file that takes hours may be written in several runs (gguf_writer_resume). Beside PATH.part there is then a
 * journal, PATH.part.done: a first line that says what is being made, and a line "INDEX BYTES SHA256" for every tensor,
 * appended when all its bytes are in the file. The digest is of them and their padding, and is compared with the file
 * before a line is believed: whenever a run ends, killed or with the machine, the next one keeps what is right and no
 * more.
 *
 * A header alone, of a file that need not exist: gguf_writer_open_header, keys, tensors, gguf_writer_header. */
#ifndef GGUF_WRITE_H
#define GGUF_WRITE_H

#include "gguf/gguf.h"

typedef struct gguf_writer gguf_writer;

/* E_EXISTS: another writer has the path; E_IO, E_NOFIT, E_NOMEM. What an earlier run left stays until the first byte of
 * data. */
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
/* Goes on in the first tensor that is not whole, and from there into the next ones. */
void gguf_writer_data(gguf_writer *w, const void *bytes, size_t n);
/* Bytes of the tensor that was declared as number `tensor` (from 0), from `offset` of it on. Every byte once; in long
 * pieces rather than many short ones apart. */
void gguf_writer_data_at(gguf_writer *w, size_t tensor, uint64_t offset, const void *bytes, size_t n);

/* After the tensors, before any data: goes on with what an earlier run has left at PATH.part. whole[i] says that tensor
 * i is there and must not be written again. A run counts when it had the same header and the same `made_from`, a text
 * that must differ wherever the bytes would (the source's digest, options, version); otherwise everything begins anew,
 * as it does without this call. Reads all that it keeps. Returns the first failure, as gguf_writer_ok does. */
status gguf_writer_resume(gguf_writer *w, const char *made_from, bool *whole, error *err) MUST_CHECK;
/* After the tensors: E_NOFIT with the arithmetic when the disk has no room for them. What an earlier run left of the
 * file counts as free. */
status gguf_writer_room(const gguf_writer *w, error *err) MUST_CHECK;
/* OK as long as nothing has failed: for a caller whose data is dear. */
status gguf_writer_ok(const gguf_writer *w, error *err) MUST_CHECK;

/* Pads, flushes to disk, renames; the journal goes. Frees the writer whatever the outcome; E_RANGE: a tensor is not
 * whole. A failure removes what close removes: who wants to go on later asks gguf_writer_ok first, and keeps. */
status gguf_writer_finish(gguf_writer **w, error *err) MUST_CHECK;
/* Removes PATH.part and its journal. */
void gguf_writer_close(gguf_writer **w);
/* Lets them lie for gguf_writer_resume in a later run; also what an earlier run left, if nothing was written yet. */
void gguf_writer_keep(gguf_writer **w);

/* What gguf_open would say of the file that these keys and tensors make, down to its length; only the tensors have no
 * data. Frees the writer, one of gguf_writer_open_header, whatever the outcome. Close the gguf with gguf_close. */
status gguf_writer_header(gguf_writer **w, gguf **out, error *err) MUST_CHECK;

#endif
