/* keys.c: what the new file says of itself. */
#include <stdio.h>
#include <string.h>

#include "hearth.h"
#include "pack/job.h"

enum { FORMAT_VERSION = 2 }; /* general.quantization_version: of the block layouts, as llama.cpp counts them */

/* Keys that would be wrong in the new file. */
static const char *const dropped_keys[] = { "general.file_type", "general.quantization_version", "general.alignment",
                                            "general.quantized_by", "split.", "quantize.imatrix.", "hearth.quantize." };

static bool is_dropped(span key)
{
    for (size_t i = 0; i < ARRAY_LEN(dropped_keys); i++) {
        size_t n = strlen(dropped_keys[i]);
        bool prefix = dropped_keys[i][n - 1] == '.';
        if (prefix ? key.n > n && memcmp(key.p, dropped_keys[i], n) == 0 : span_is(key, dropped_keys[i]))
            return true;
    }
    return false;
}

/* The type that holds most values: what a file that allocation made is mostly of. */
static uint32_t main_type(const job *j)
{
    uint64_t values[64] = { 0 };
    uint32_t most = 0;
    for (size_t i = 0; i < j->n; i++)
        if (j->tensors[i].role != QUANT_KEPT)
            values[j->tensors[i].to->id] += j->tensors[i].t->ne[0] * gguf_tensor_rows(j->tensors[i].t);
    for (uint32_t t = 1; t < ARRAY_LEN(values); t++)
        most = values[t] > values[most] ? t : most;
    return most;
}

static void write_calibration(const job *j)
{
    gguf_writer *w = j->w;
    if (j->imatrix) /* the keys by which other programs know */
        gguf_writer_str(w, "quantize.imatrix.file", imatrix_about(j->imatrix)->path);
    if (j->imatrix)
        gguf_writer_i32(w, "quantize.imatrix.entries_count", (int32_t)imatrix_about(j->imatrix)->n_entries);
    if (j->text.n)
        gguf_writer_str(w, "hearth.quantize.calibration", j->report.text);
    if (j->text.n)
        gguf_writer_u32(w, "hearth.quantize.calibration_tokens", (uint32_t)j->text.n_ids);
}

void keys_write(job *j)
{
    uint32_t file_type;
    for (size_t i = 0; i < gguf_n_keys(j->file); i++)
        if (!is_dropped(gguf_key_at(j->file, i)->key))
            gguf_writer_copy(j->w, gguf_key_at(j->file, i));
    if (j->target.mix)
        gguf_writer_u32(j->w, "general.file_type", j->target.mix->file_type);
    else if (plan_file_type(j->target.type ? j->target.type->id : main_type(j), &file_type))
        gguf_writer_u32(j->w, "general.file_type", file_type);
    gguf_writer_u32(j->w, "general.quantization_version", FORMAT_VERSION);
    gguf_writer_str(j->w, "general.quantized_by", "hearth " HEARTH_VERSION);
    gguf_writer_str(j->w, "hearth.quantize.type", j->report.type);
    gguf_writer_str(j->w, "hearth.quantize.source_type", j->report.source_type);
    gguf_writer_bool(j->w, "hearth.quantize.requantized", j->report.requantized);
    gguf_writer_str(j->w, "hearth.quantize.encoder", encoder_way_names[j->o->way]);
    write_calibration(j);
}
