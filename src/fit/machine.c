/* machine.c: what this machine is, and its rates: remembered or measured. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/numerics.h"
#include "fit/fit.h"
#include "plat/build_id.h"
#include "plat/clock.h"
#include "plat/cpu.h"
#include "plat/disk.h"
#include "plat/paths.h"
#include "quant/quant.h"

enum { BUSY_S = 600 }; /* so long a busy machine's rates are taken */

enum {
    MEASURE_BYTES = 256 << 20, /* or twice the last cache, so that little of it is found there */
    MEASURE_BYTES_MOST = 1 << 30,
    MEASURE_BYTES_LEAST = 32 << 20,
};

static uint64_t bytes_to_measure_with(const fit_machine *m)
{
    uint64_t bytes = MEASURE_BYTES;
    while (bytes < 2 * m->cpu.l3_bytes && bytes < MEASURE_BYTES_MOST)
        bytes *= 2;
    while (bytes > MEASURE_BYTES_LEAST && bytes > m->memory.usable_bytes / 8)
        bytes /= 2;
    return bytes;
}

/* Runs `what` on as many threads as the machine has here. */
typedef status measuring(fit_rates *out, const fit_measuring *how, error *err);

static status measure(fit_machine *m, measuring *what, fit_rates *out, error *err)
{
    kernels k;
    pool *p = NULL;
    unsigned features;
    status s = cpu_choose(NULL, &features, err);
    if (!s)
        s = pool_open(&p, m->threads, err);
    if (s)
        return s;
    kernels_init(&k, features);
    fit_measuring how = { &k, p, bytes_to_measure_with(m), m->cpu.l2_bytes, m->cpu.l3_bytes, m->cpu.efficient > 0 };
    s = what(out, &how, err);
    pool_close(&p);
    return s;
}

static status measure_rates(fit_machine *m, error *err)
{
    uint64_t start = clock_mono_us();
    status s = measure(m, fit_rates_measure, &m->rates, err);
    m->measured_s = (double)(clock_mono_us() - start) / 1e6;
    m->measured_at = clock_utc_us() / 1000000;
    return s;
}

status fit_measure_reading(fit_machine *m, error *err)
{
    fit_rates again;
    status s = measure(m, fit_rates_measure_reading, &again, err);
    if (!s && again.read_bytes_per_s[FIT_MEMORY] > m->read_bytes_per_s)
        m->read_bytes_per_s = again.read_bytes_per_s[FIT_MEMORY];
    return s;
}

static void derive(fit_machine *m)
{
    double bytes = m->rates.block[QUANT_Q8_0][0]; /* seconds a byte of weights */
    double macs = (double)FIT_BLOCK * KERNELS_PANEL_ROWS * fit_block_cols[0] /
                  (double)kernels_panel_bytes(QUANT_Q8_0, fit_block_cols[0]);
    m->read_bytes_per_s = m->rates.read_bytes_per_s[FIT_MEMORY];
    m->macs_per_s = bytes > 0 ? m->threads * macs / bytes : 0;
}

status fit_measure_machine(fit_machine *out, int threads, error *err)
{
    char name[64], key[384], *models = NULL;
    unsigned features;
    kernels k;
    memset(out, 0, sizeof *out);
    machine_read_cpu(&out->cpu);
    machine_read_memory(&out->memory);
    if (path_of(&models, PATH_DATA, "models", NULL) == OK)
        out->disk_free_bytes = disk_free_bytes(models);
    mem_free(models);
    out->threads = threads > 0 ? threads : out->cpu.threads;
    status s = cpu_choose(NULL, &features, err);
    if (s)
        return s;
    kernels_init(&k, features);
    out->isa = k.level;
    out->features = cpu_level_name(features);
    snprintf(name, sizeof name, "rates.%s.%d", out->isa, out->threads);
    snprintf(key, sizeof key, "%s; %d processors, quota %.2f; %s, %d threads; %s, numerics %s", out->cpu.name,
             out->cpu.allowed, out->cpu.quota, out->isa, out->threads, build_id(), NUMERICS_VERSION);
    if (!fit_rates_recall(&out->rates, name, key, FIT_RATES_DAYS, &out->measured_at) ||
        (out->rates.others > FIT_BUSY && out->measured_at + BUSY_S < clock_utc_us() / 1000000)) {
        s = measure_rates(out, err);
        if (!s && fit_rates_remember(&out->rates, name, key, out->measured_at, NULL))
            log_line(LOG_LEVEL_INFO, "fit: the rates of this machine could not be remembered");
    }
    if (!s)
        derive(out);
    return s;
}
