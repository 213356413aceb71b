/* write_int.h: the writer, shared by write.c (the file) and resume.c (the journal beside it). Private to src/gguf. */
#ifndef GGUF_WRITE_INT_H
#define GGUF_WRITE_INT_H

#include <stdio.h>

#include "base/buf.h"
#include "base/runs.h"
#include "gguf/write.h"

enum { GGUF_BLANKS_MAX = 8 };

/* KEYS, after the first gguf_writer_tensor TENSORS, after the first byte of data or gguf_writer_resume DATA. Going back
 * is a programming error and reported as one by finish. */
typedef enum gguf_write_state { GGUF_KEYS, GGUF_TENSORS, GGUF_DATA } gguf_write_state;

/* Zeros that are not in the buffer of keys but belong there, before what is at `at`. */
typedef struct gguf_blank {
    size_t at, bytes;
} gguf_blank;

/* A declared tensor. */
typedef struct gguf_slot {
    uint64_t at, bytes; /* from the beginning of the data; without padding */
    size_t name_at;     /* of its entry in infos */
    runs have;          /* bytes that are written; empty again once all are */
    bool whole;         /* with its padding, and in the journal where there is one */
} gguf_slot;

struct gguf_writer {
    char *path, *part, *journal_path; /* part, journal_path NULL: of a header alone */
    FILE *file;                       /* of part, which is locked */
    uint64_t file_at;                 /* where it stands */
    int journal;                      /* -1: nobody asked to go on */
    gguf_write_state state;
    uint32_t alignment;
    uint64_t n_keys;
    buf keys, infos;
    gguf_blank blanks[GGUF_BLANKS_MAX];
    size_t n_blanks, blank_bytes;
    gguf_slot *slots;
    size_t n_tensors, slots_room;
    uint64_t offset;  /* where the next declared tensor begins, or ends with DATA: all declared bytes */
    uint64_t data_at; /* in the file; from DATA on */
    size_t current;   /* the tensor that gguf_writer_data goes on with */
    error failure;    /* the first; code OK: none */
};

/* ---- write.c ---- */
void gguf_broken(gguf_writer *w, status code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The zeros after `after` bytes, up to the alignment. */
uint64_t gguf_write_padding(const gguf_writer *w, uint64_t after);
/* State DATA: what stands before the keys goes into head, and data_at is set. */
void gguf_write_begin(gguf_writer *w, buf *head);
/* Forgets what an earlier run left, and writes the header. */
void gguf_write_anew(gguf_writer *w, const buf *head);

/* ---- resume.c ---- */
/* Appends that slot i is whole. Its bytes are in the file, or still in the stream. */
void gguf_journal_add(gguf_writer *w, size_t i);

#endif
