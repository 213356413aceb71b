/* audit_key.c: audit.key, the first keys of chains, and what is done with them: lines "CHAIN KEY". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/file.h"
#include "plat/paths.h"
#include "privacy/audit_int.h"

enum { KEY_FILE_MAX = 1 << 20, SET_ASIDE_MAX = 4096 };

static void key_line(const audit_chain *c, char line[AUDIT_KEY_LINE])
{
    char hex[DIGEST_HEX];
    digest_hex(c->key, hex);
    snprintf(line, AUDIT_KEY_LINE, "%s %s", c->id, hex);
    explicit_bzero(hex, sizeof hex);
}

static status write_synced(int fd, const char *name, const char *bytes, size_t n, error *err)
{
    status s = file_write_all(fd, name, bytes, n, err);
    return s || fsync(fd) == 0 ? s : fail(err, E_IO, "%s: %s", name, strerror(errno));
}

status audit_key_keep(const audit_files *f, const audit_chain *c, error *err)
{
    char line[AUDIT_KEY_LINE + 1];
    status s = path_make_parents(f->key, err);
    if (s)
        return s;
    int fd = open(f->key, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, E_IO, "%s: %s (hearth audit begin --print-key needs no such file)", f->key, strerror(errno));
    key_line(c, line);
    size_t n = strlen(line);
    line[n] = '\n';
    s = write_synced(fd, f->key, line, n + 1, err);
    close(fd);
    explicit_bzero(line, sizeof line);
    return s ? s : audit_sync_folder(f->key, err);
}

/* ---- reading ---- */

static status slurp(const char *file, buf *out, error *err)
{
    bool in = strcmp(file, "-") == 0;
    int fd = in ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", file, strerror(errno));
    ssize_t n = 1;
    for (char *to; n > 0 && (to = buf_reserve(out, 4096));)
        if ((n = read(fd, to, 4096)) > 0)
            buf_advance(out, (size_t)n);
    int why = errno;
    if (!in)
        close(fd);
    return n < 0 ? fail(err, E_IO, "%s: %s", file, strerror(why)) : buf_ok(out, file, err);
}

static bool unhex(span hex, uint8_t out[DIGEST_BYTES])
{
    if (hex.n != DIGEST_HEX - 1)
        return false;
    for (size_t i = 0; i < hex.n; i++) {
        char c = hex.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

/* The next line without blanks around it; false: no more. */
static bool next_line(const char **at, span *line)
{
    if (!**at)
        return false;
    size_t n = strcspn(*at, "\n");
    *line = span_trim((span){ *at, n });
    *at += n + ((*at)[n] == '\n');
    return true;
}

static bool is_of(span line, const char *chain, uint8_t key[DIGEST_BYTES])
{
    const char *blank = memchr(line.p, ' ', line.n);
    if (!blank)
        return unhex(line, key);
    span name = { line.p, (size_t)(blank - line.p) };
    return span_is(name, chain) && unhex(span_trim((span){ blank, line.n - name.n }), key);
}

status audit_key_read(const char *file, const char *chain, uint8_t key[DIGEST_BYTES], error *err)
{
    buf text = BUF_INIT(KEY_FILE_MAX);
    span line;
    uint8_t found[DIGEST_BYTES] = { 0 };
    status s = slurp(file, &text, err);
    bool here = false;
    for (const char *at = buf_text(&text); !s && !here && next_line(&at, &line);)
        here = line.n > 0 && line.p[0] != '#' && is_of(line, chain, found);
    if (!s && !here)
        s = fail(err, E_NOTFOUND, "%s: it has no key of the chain %s", file, chain);
    if (!s)
        memcpy(key, found, DIGEST_BYTES);
    if (text.data)
        explicit_bzero(text.data, text.len);
    explicit_bzero(found, sizeof found);
    buf_clear(&text);
    return s;
}

/* ---- commands ---- */

/* audit.key without the lines of one chain; the file is gone when nothing is left. */
static status remove_line(const char *file, const char *chain, error *err)
{
    buf text = BUF_INIT(KEY_FILE_MAX), rest = BUF_INIT(KEY_FILE_MAX);
    span line;
    status s = slurp(file, &text, err);
    for (const char *at = buf_text(&text); !s && next_line(&at, &line);)
        if (line.n < strlen(chain) || memcmp(line.p, chain, strlen(chain)) != 0) {
            buf_add(&rest, line.p, line.n);
            buf_char(&rest, '\n');
        }
    if (!s)
        s = buf_ok(&rest, file, err);
    int fd = s ? -1 : open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (!s && fd < 0)
        s = fail(err, E_IO, "%s: %s", file, strerror(errno));
    if (!s && text.len) { /* overwritten first: a freed block would keep it */
        memset(text.data, '#', text.len);
        s = write_synced(fd, file, text.data, text.len, err);
    }
    if (!s && (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0))
        s = fail(err, E_IO, "%s: %s", file, strerror(errno));
    if (!s)
        s = write_synced(fd, file, buf_text(&rest), rest.len, err);
    if (fd >= 0)
        close(fd);
    if (!s && rest.len == 0 && unlink(file) != 0)
        s = fail(err, E_IO, "%s: %s", file, strerror(errno));
    buf_clear(&text);
    buf_clear(&rest);
    return s;
}

status audit_take_key(bool away, char line[AUDIT_KEY_LINE], error *err)
{
    audit_files f = { 0 };
    audit_state st = { .fd = -1 };
    status s = audit_files_find(&f, err);
    if (!s && (s = audit_state_open(&st, &f, AUDIT_READ, err)) == E_NOTFOUND)
        s = fail(err, E_NOTFOUND, "there is no chain yet: nothing was ever sent");
    if (!s && !st.found)
        s = fail(err, E_FORMAT, "%s: it is damaged", f.state);
    audit_chain first = st.chain;
    if (!s && (s = audit_key_read(f.key, st.chain.id, first.key, err)) == E_NOTFOUND)
        s = fail(err, E_NOTFOUND, "%s: the first key of the chain %s is not on this machine", f.key, st.chain.id);
    if (!s && away)
        s = remove_line(f.key, st.chain.id, err);
    if (!s)
        key_line(&first, line);
    explicit_bzero(&first, sizeof first);
    audit_state_close(&st);
    audit_files_clear(&f);
    return s;
}

static status set_aside(const char *file, const char *chain, const char *end, error *err)
{
    char to[SET_ASIDE_MAX];
    size_t n = strlen(file) - strlen(end);
    if ((size_t)snprintf(to, sizeof to, "%.*s-%s%s", (int)n, file, chain, end) >= sizeof to)
        return fail(err, E_RANGE, "%s: the path is too long", file);
    if (access(to, F_OK) == 0)
        return fail(err, E_EXISTS, "%s: is there already", to);
    return rename(file, to) == 0 ? OK : fail(err, E_IO, "%s: %s", to, strerror(errno));
}

/* Both files of the chain, under its lock. The log first: a state alone stops every append. */
static status make_room(audit_state *st, const audit_files *f, bool anew, error *err)
{
    if (!st->found && access(f->log, F_OK) != 0)
        return OK;
    if (!anew)
        return fail(err, E_EXISTS, "%s: there is a chain already (--anew sets it aside)", f->log);
    char name[UUID_TEXT];
    status s = OK;
    if (st->found)
        memcpy(name, st->chain.id, sizeof name);
    else
        s = uuid_v7(name, err);
    if (!s && access(f->log, F_OK) == 0)
        s = set_aside(f->log, name, ".log", err);
    if (!s)
        s = set_aside(f->state, name, ".state", err);
    audit_state_close(st);
    return s ? s : audit_state_open(st, f, AUDIT_WRITE, err);
}

status audit_begin(bool elsewhere, bool anew, char line[AUDIT_KEY_LINE], error *err)
{
    audit_files f = { 0 };
    audit_state st = { .fd = -1 };
    status s = audit_files_find(&f, err);
    if (!s)
        s = audit_state_open(&st, &f, AUDIT_WRITE, err);
    if (!s)
        s = make_room(&st, &f, anew, err);
    if (!s)
        s = audit_state_begin(&st, &f, elsewhere, err);
    if (!s)
        key_line(&st.chain, line);
    audit_state_close(&st);
    audit_files_clear(&f);
    return s;
}
