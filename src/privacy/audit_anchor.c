/* audit_anchor.c: the end of the chain, told to others: a file beside config.yaml and syslog. A chain that is cut, or
 * set back to an older copy, does not reach the last anchor any more. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "plat/file_map.h"
#include "plat/paths.h"
#include "privacy/audit_int.h"

enum { ANCHOR_LINE_MAX = 512, ANCHORS_MAX = 1 << 22 };

static void complain_once(const error *e)
{
    static atomic_bool said;
    if (!atomic_exchange(&said, true))
        log_line(LOG_LEVEL_WARN, "audit: no anchor was written: %s", e->text);
}

static status append_line(const char *file, const char *line, size_t n, error *err)
{
    status s = path_make_parents(file, err);
    if (s)
        return s;
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, E_IO, "%s: %s", file, strerror(errno));
    ssize_t k = write(fd, line, n);
    if (k != (ssize_t)n)
        s = fail(err, E_IO, "%s: %s", file, k < 0 ? strerror(errno) : "only a part was written");
    close(fd);
    return s;
}

void audit_anchor_write(const audit_files *f, audit_chain *c, int64_t at_us)
{
    char head[DIGEST_HEX], line[ANCHOR_LINE_MAX];
    unsigned long long last = c->next - 1;
    error e = { 0 };
    digest_hex(c->head, head);
    int n = snprintf(line, sizeof line,
                     "{\"v\":1,\"chain\":\"%s\",\"seq\":%llu,\"head\":\"%s\",\"at_us\":%lld}\n", c->id, last, head,
                     (long long)at_us);
    if (append_line(f->anchors, line, (size_t)n, &e) != OK)
        complain_once(&e);
    syslog(LOG_AUTHPRIV | LOG_NOTICE, "hearth audit: chain %s, anchor %llu:%s", c->id, last, head);
    c->anchored = c->next - 1;
}

/* ---- reading ---- */

static bool head_parse(const char *hex, char out[DIGEST_HEX])
{
    if (!hex || strlen(hex) != DIGEST_HEX - 1 || strspn(hex, "0123456789abcdef") != DIGEST_HEX - 1)
        return false;
    memcpy(out, hex, DIGEST_HEX);
    return true;
}

bool audit_anchor_parse(const char *text, audit_anchor *out)
{
    char number[24];
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    *out = (audit_anchor){ 0 };
    if (n == 0 || n >= sizeof number || strspn(text, "0123456789") != n)
        return false;
    memcpy(number, text, n);
    number[n] = 0;
    return str_u64(number, &out->sequence) && out->sequence > 0 && head_parse(colon + 1, out->head);
}

static bool anchor_line(const char *line, size_t n, audit_anchor *out)
{
    js *j = NULL;
    int64_t seq = 0;
    if (js_parse(&j, line, n, "anchor", 1, NULL) != OK)
        return false;
    const char *chain = js_text(js_get(j, "chain"));
    bool ok = chain && strlen(chain) == UUID_TEXT - 1 && js_int(js_get(j, "seq"), &seq) && seq > 0 &&
              head_parse(js_text(js_get(j, "head")), out->head);
    if (ok) {
        memcpy(out->chain, chain, UUID_TEXT);
        out->sequence = (uint64_t)seq;
    }
    js_free(j);
    return ok;
}

/* A line that is none was cut off or meddled with: it proves nothing and is passed over. */
status audit_anchors_read(const audit_files *f, audit_anchor **out, size_t *n_out, error *err)
{
    file_map m;
    status s = file_map_open(&m, f->anchors, err);
    if (s == E_NOTFOUND) {
        *out = NULL;
        *n_out = 0;
        return OK;
    }
    if (s)
        return s;
    size_t lines = 1, n = 0;
    for (size_t i = 0; i < m.bytes; i++)
        lines += m.data[i] == '\n';
    audit_anchor *all = lines <= ANCHORS_MAX ? mem_array(lines, sizeof *all) : NULL;
    if (!all)
        s = fail(err, E_NOMEM, "%s: no memory for %zu anchors", f->anchors, lines);
    for (const char *at = (const char *)m.data, *end = at + m.bytes; !s && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        n += anchor_line(at, length, &all[n]);
        at += length + 1;
    }
    file_map_close(&m);
    if (!s) {
        *out = all;
        *n_out = n;
    }
    return s;
}
