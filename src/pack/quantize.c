/* quantize.c: one run: what is asked for, the types of all tensors, the file. */
#include "pack/quantize.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "hearth.h"
#include "pack/judge.h"
#include "pack/record.h"
#include "plat/cpu.h"
#include "plat/machine.h"

status job_tell(const job *j, const char *phase, uint64_t done, uint64_t total, error *err)
{
    if (j->o->progress && j->o->progress(j->o->user, phase, done, total))
        return fail(err, E_CANCELLED, "stopped");
    return OK;
}

/* ---- types ---- */

/* Whatever the bytes of tensors depend on, beside the header. */
static void made_from(const job *j, char out[512])
{
    struct stat st = { 0 }, im = { 0 };
    if (stat(j->from, &st)) /* it is open already: then nothing is kept */
        st.st_size = 0;
    if (j->o->imatrix && stat(j->o->imatrix, &im))
        im.st_size = 0;
    uint64_t text = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < j->text.n_ids; i++)
        text = (text ^ (uint32_t)j->text.ids[i]) * 1099511628211u;
    snprintf(out, 512, "hearth " HEARTH_VERSION " source %ju %ju %ju %jd.%09ld text %016" PRIx64
             " way %d damping %a imatrix %ju %ju %jd.%09ld", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
             (uintmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, text, (int)j->o->way,
             (double)j->o->damping, (uintmax_t)im.st_ino, (uintmax_t)im.st_size, (intmax_t)im.st_mtim.tv_sec,
             im.st_mtim.tv_nsec);
}

/* What is left for tensors of a file of the size that is wanted. The header will be the source's but for some keys. */
static uint64_t budget_of(const job *j)
{
    const uint64_t keys = 1024; /* those that are added, at most */
    struct stat st;
    if (j->o->data_bytes)
        return j->o->data_bytes;
    uint64_t header = stat(j->from, &st) ? 0 : (uint64_t)st.st_size - gguf_data_bytes(j->file);
    return j->o->size > header + keys ? j->o->size - header - keys : 0;
}

/* What the largest tensor takes and half a GiB: a small model may stay whole. */
static uint64_t memory_for_layers(const job *j)
{
    return plan_largest(j->file) + ((uint64_t)512 << 20);
}

/* Before anything is measured: can there be a file of this size? */
static status check_size(const job *j, error *err)
{
    uint64_t least = 0, budget = budget_of(j);
    for (size_t i = 0; i < j->n; i++)
        least += plan_padded(plan_least(&j->tensors[i]));
    if (least <= budget)
        return OK;
    uint64_t asked = j->o->data_bytes ? j->o->data_bytes : j->o->size;
    return fail(err, E_NOFIT, "%s: no file of %" PRIu64 " bytes can be made of it: the smallest has %" PRIu64, j->to,
                asked, asked + least - budget);
}

static const char *record_path(job *j)
{
    snprintf(j->record_path, sizeof j->record_path, "%s.part.measured", j->to);
    return j->o->measured ? j->o->measured : j->record_path;
}

static status allocate_types(job *j, error *err)
{
    if (!j->text.n)
        return fail(err, E_UNSUPPORTED, "%s: types can only be chosen for a model that hearth runs, by calibration "
                    "text", gguf_file_name(j->file));
    char from[512];
    made_from(j, from);
    j->report.type = "mixed";
    bool keep = j->o->measured || !j->o->passing;
    status s = check_size(j, err);
    if (!s && keep)
        s = record_open(j, record_path(j), j->o->measured != NULL, from, err);
    if (!s)
        s = survey_tensors(j, err);
    if (!s)
        s = judge_open(&j->judge, j, memory_for_layers(j), err);
    if (!s)
        s = gains_measure(j, j->judge, err);
    if (!s)
        judge_rest(j->judge);
    return s ? s : choose_types(j, budget_of(j), err);
}

static status choose(job *j, error *err)
{
    plan_target output;
    status s = j->o->way == ENCODER_PLAIN ? OK : plan_grids(j, err);
    if (s)
        return s;
    if (!j->o->type) {
        s = allocate_types(j, err);
    } else {
        s = plan_find(j->o->type, &j->target, err);
        output = j->target;
        if (!s && j->o->output_type)
            s = plan_find(j->o->output_type, &output, err);
        if (!s) {
            plan_types(j, &j->target, &output);
            j->report.type = j->target.mix ? j->target.mix->name : j->target.type->name;
        }
    }
    return s ? s : plan_report(j, err);
}

/* ---- the file ---- */

static void declare(job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        const gguf_tensor *t = j->tensors[i].t;
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        gguf_writer_tensor(j->w, name, j->tensors[i].to->id, t->n_dims, t->ne);
    }
}

static status resume(job *j, error *err)
{
    char from[512];
    bool *whole = mem_array(j->n + 1, sizeof *whole);
    if (!whole)
        return fail(err, E_NOMEM, "no memory for %zu tensors", j->n);
    made_from(j, from);
    status s = gguf_writer_resume(j->w, from, whole, err);
    for (size_t i = 0; !s && i < j->n; i++) {
        j->tensors[i].whole = whole[i];
        j->report.n_resumed += whole[i];
    }
    mem_free(whole);
    return s;
}

/* The file as it stands, before it gets its name. */
static status verify(job *j, error *err)
{
    char path[4096 + 8];
    snprintf(path, sizeof path, "%s.part", j->to);
    status s = job_tell(j, "verifying", 0, 1, err);
    if (!s)
        s = judge_file(j->judge, path, &j->report.measured, err);
    return s;
}

static status write_file(job *j, error *err)
{
    status s = gguf_writer_open(&j->w, j->to, err);
    if (s)
        return s;
    keys_write(j);
    declare(j);
    s = gguf_writer_room(j->w, err);
    if (!s)
        s = resume(j, err);
    if (!s)
        s = encode_all(j, err);
    if (!s && j->judge)
        s = verify(j, err);
    if (!s && j->o->save_imatrix)
        s = calibrate_save(j, err);
    if (s == E_CANCELLED && !j->o->passing)
        gguf_writer_keep(&j->w);
    return s ? s : gguf_writer_finish(&j->w, err);
}

/* ---- the whole ---- */

static int thread_count(const pack_options *o)
{
    machine_cpu cpu;
    if (o->n_threads > 0)
        return o->n_threads < POOL_MAX_THREADS ? o->n_threads : POOL_MAX_THREADS;
    machine_read_cpu(&cpu);
    return cpu.threads;
}

static status open_tools(job *j, error *err)
{
    unsigned features;
    status s = cpu_choose(NULL, &features, err);
    if (s)
        return s;
    kernels_init(&j->k, features);
    j->tools.k = &j->k;
    return pool_open(&j->tools.p, thread_count(j->o), err);
}

static void job_close(job *j)
{
    gguf_writer_close(&j->w);
    record_close(j);
    judge_close(&j->judge);
    calibrate_close(j);
    imatrix_close(&j->imatrix);
    pool_close(&j->tools.p);
    gguf_close(&j->file);
    for (size_t i = 0; i < j->n; i++)
        mem_free(j->tensors[i].sum2);
    mem_free(j->tensors);
    mem_free(j);
}

status pack_quantize(const char *from, const char *to, const pack_options *o, pack_report *out, error *err)
{
    job *j = mem_zero(sizeof *j);
    if (!j)
        return fail(err, E_NOMEM, "no memory");
    j->o = o;
    j->to = to;
    j->from = from;
    status s = o->type ? pack_check_type(o->type, err) : OK;
    if (!s && !o->overwrite && access(to, F_OK) == 0)
        s = fail(err, E_EXISTS, "%s is there already (--force replaces it)", to);
    if (!s)
        s = gguf_open(&j->file, from, err);
    if (!s)
        s = open_tools(j, err);
    if (!s && o->imatrix)
        s = imatrix_read(&j->imatrix, o->imatrix, err);
    if (!s)
        s = calibrate_open(j, err);
    if (!s)
        s = plan_tensors(j, err);
    if (!s)
        s = choose(j, err);
    if (!s)
        s = write_file(j, err);
    if (!s && j->record && !o->measured)
        (void)unlink(j->record_path);
    if (!s)
        *out = j->report;
    job_close(j);
    return s;
}
