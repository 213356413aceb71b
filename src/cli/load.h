/* load.h: opening a MODEL in this process, for the commands that compute. */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include <stdint.h>

#include "base/status.h"
#include "cli/cli.h"
#include "engine/engine.h"

typedef struct load_options {
    int64_t context, threads;
    uint64_t mem;
    bool exact;
    bool grammars;   /* answers will be constrained */
    uint64_t beside; /* of the budget, what is kept for another model that is opened after this one */
    const char *isa, *kv;
} load_options;

/* Rows of a command's option table. */
#define LOAD_OPTIONS(o)                                                                                                \
    { "ctx", 'c', OPTION_INT, &(o).context, "N", "most tokens of a conversation (default: the model's, to 8192)" },    \
    { "threads", 't', OPTION_INT, &(o).threads, "N", "compute threads (default: the physical cores)" },                \
    { "mem", 0, OPTION_BYTES, &(o).mem, "SIZE", "take no more memory than this (default: what is free)" },             \
    { "kv", 0, OPTION_TEXT, &(o).kv, "TYPE", "keys and values: f16, q8 (half the memory) or f32 (default f16)" },      \
    { "exact", 0, OPTION_FLAG, &(o).exact, NULL, "the reference path: F32 weights and activations (slow, large)" },    \
    { "isa", 0, OPTION_TEXT, &(o).isa, "LEVEL", "kernels: portable, avx2, avx512, amx (default: the best)" }

/* EXIT_OK, or the usage error that was printed. */
int load_check(const char *command_name, const load_options *o);
void load_engine_options(const load_options *o, engine_options *out);

/* From here on this process has no network and starts no program (SANDBOX_OFFLINE). For every command that reads a
 * model file itself, before it does, while there is one thread. Where the system has no seccomp this is said, and the
 * command goes on: the files it reads are the user's own choice. */
void load_offline(void);

/* Finds MODEL, denies this process the network, opens the model (with a bar on a terminal) within --mem, or what may be
 * taken now (budget.h). */
status load_model(engine **out, const char *model, const load_options *o, error *err) MUST_CHECK;

/* The same for a file that is open already; it passes to the engine, also when this fails. Denies nothing. */
struct gguf;
status load_file(engine **out, struct gguf *file, const load_options *o, error *err) MUST_CHECK;

#endif
