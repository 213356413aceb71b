/* serve_explain.c: see the header. A server for one question: it listens on a Unix socket in a folder of its own (no
 * network is needed), is asked POST /v1/route/explain, and ends. Keys are not asked for: who may read the config may
 * ask as any of them. */
#include "cli/serve_explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "api/keys.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/cli.h"
#include "cli/serve.h"
#include "http/client.h"
#include "measure/tools.h"
#include "plat/machine.h"
#include "provider/tagger.h"
#include "plat/proc.h"

enum { REQUEST_MAX = 16 << 20, ANSWER_MAX = 8 << 20, WAIT_MS = 600000 };

typedef struct asking {
    const char *config_path, *path, *privacy, *as_key, *model;
    bool json;
} asking;

static const usage page = {
    "hearth route explain TASK|REQUEST.json [OPTION]…",
    "Says where a task would go, or a request as a server would be sent it (the body of any dialect; - reads standard\n"
    "input), and the whole argument: how its task was recognised, its class and why, counts, interval, margin, cost,\n"
    "since when, and what is measured next. Nothing is sent, nothing is kept. Exit code 1: it would be refused.\n\n"
    "example:\n"
    "  hearth route explain ticket-class\n"
    "  hearth route explain request.json --path /v1/messages --key laptop\n",
};

/* ---- the question ---- */

static bool is_file(const char *word)
{
    struct stat st;
    return strcmp(word, "-") == 0 || str_ends(word, ".json") || (stat(word, &st) == 0 && S_ISREG(st.st_mode));
}

static status read_request(const char *word, buf *out, error *err)
{
    char step[16384];
    FILE *f = strcmp(word, "-") == 0 ? stdin : fopen(word, "re");
    if (!f)
        return fail(err, E_NOTFOUND, "%s: %s", word, strerror(errno));
    for (size_t n; (n = fread(step, 1, sizeof step, f)) > 0;)
        buf_add(out, step, n);
    bool bad = ferror(f);
    if (f != stdin)
        fclose(f);
    if (bad)
        return fail(err, E_IO, "%s cannot be read", word);
    return strlen(buf_text(out)) == out->len ? buf_ok(out, word, err) : fail(err, E_FORMAT, "%s is no JSON", word);
}

static status write_question(const char *word, buf *out, error *err)
{
    if (is_file(word))
        return read_request(word, out, err);
    buf_str(out, "{\"task\":");
    js_write_string(out, word, strlen(word));
    buf_char(out, '}');
    return buf_ok(out, "a question", err);
}

/* ?path=… holds letters, digits and /_-. alone, or is refused. */
static bool path_ok(const char *path)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-";
    return *path == '/' && strspn(path, good) == strlen(path) && strlen(path) < 200;
}

/* ---- a server for it ---- */

typedef struct place {
    char folder[64], socket[80];
    int fd;
} place;

static status open_place(place *p, error *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(p->folder, sizeof p->folder, "/tmp/hearth-explain-XXXXXX");
    p->fd = -1;
    if (!mkdtemp(p->folder)) {
        p->folder[0] = 0;
        return fail(err, E_IO, "/tmp: %s", strerror(errno));
    }
    snprintf(p->socket, sizeof p->socket, "%s/s", p->folder);
    memcpy(a.sun_path, p->socket, strlen(p->socket) + 1);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || bind(p->fd, (const struct sockaddr *)&a, sizeof a) != 0 || listen(p->fd, 4) != 0)
        return fail(err, E_IO, "%s: %s", p->socket, strerror(errno));
    return OK;
}

static void close_place(place *p)
{
    if (p->fd >= 0)
        close(p->fd);
    if (!p->folder[0])
        return;
    unlink(p->socket);
    rmdir(p->folder);
}

/* The asker's class and task, and no keys. */
static status become_key(const asking *o, config *c, error *err)
{
    const config_key *k = NULL;
    for (size_t i = 0; o->as_key && i < c->n_keys; i++)
        if (strcmp(c->keys[i].name, o->as_key) == 0)
            k = &c->keys[i];
    if (o->as_key && !k)
        return fail(err, E_NOTFOUND, "the config has no key '%s'", o->as_key);
    if (k) {
        c->default_class = k->default_class;
        c->task = k->task;
    }
    c->n_keys = 0;
    return OK;
}

static status answer(const asking *o, config *c, const char *body, int *code, buf *out, error *err)
{
    char directory[PROC_PATH_MAX], path[256] = "/v1/route/explain";
    place p = { .fd = -1 };
    uint64_t bodies;
    api *a = NULL;
    http_server *s = NULL;
    api_options options = { .config = c, .bin_dir = directory, .model = o->model, .bind_task = measure_tools_bind };
    http_options listen;
    options.memory_bytes = budget_of_server(c, 0, &bodies);
    http_options_init(&listen);
    listen.done = api_done;
    if (o->path)
        snprintf(path + strlen(path), sizeof path - strlen(path), "?path=%s", o->path);
    const http_question q = { .socket = p.socket, .host = "localhost", .method = "POST", .path = path, .body = body,
                              .privacy = o->privacy, .timeout_ms = WAIT_MS };
    status st = become_key(o, c, err);
    if (!st)
        st = serve_tagger(c, &options.memory_bytes, err);
    if (!st)
        st = serve_inspectors(&c->inspectors, c, c->tagger, err);
    if (!st)
        st = machine_program_dir(directory, sizeof directory, err);
    if (!st)
        st = key_ring_open(&options.keys, c, err);
    if (!st)
        st = open_place(&p, err);
    listen.listen_fd = p.fd;
    if (!st)
        st = api_open(&a, &options, err);
    if (!st)
        st = http_open(&s, &listen, api_handle, a, err);
    if (s)
        p.fd = -1; /* taken */
    if (!st)
        st = http_ask(&q, code, out, err);
    http_close(&s);
    api_close(&a);
    key_ring_close(&options.keys);
    inspect_ring_close(&c->inspectors);
    tagger_close(&c->tagger);
    close_place(&p);
    return st;
}

/* ---- telling ---- */

static int tell(const asking *o, const js *j, int code)
{
    buf text = BUF_INIT(ANSWER_MAX);
    const char *words = js_text(js_get(code == 200 ? j : js_get(j, "error"), code == 200 ? "text" : "message"));
    if (code != 200) {
        fprintf(stderr, "hearth route explain: %s\n", words ? words : "no answer");
        return code >= 500 ? EXIT_PROVIDER : EXIT_INPUT;
    }
    if (o->json) {
        js_write(j, JS_PRETTY, &text);
        printf("%s\n", buf_text(&text));
    } else {
        printf("%s", words ? words : "");
    }
    buf_clear(&text);
    return js_is(js_get(j, "refused"), JS_OBJECT) ? EXIT_NO : EXIT_OK;
}

static int explain(const asking *o, const char *word)
{
    config *c = NULL;
    buf body = BUF_INIT(REQUEST_MAX), out = BUF_INIT(ANSWER_MAX);
    js *j = NULL;
    error e = { 0 };
    int code = 0;
    status s = config_open(&c, o->config_path, &e);
    if (!s)
        s = write_question(word, &body, &e);
    if (!s)
        s = answer(o, c, buf_text(&body), &code, &out, &e);
    if (!s)
        s = js_parse(&j, buf_text(&out), out.len, "the answer", 1, &e);
    int result = s ? report("route explain", &e) : tell(o, j, code);
    js_free(j);
    buf_clear(&body);
    buf_clear(&out);
    config_close(&c);
    return result;
}

int serve_explain(int argc, char **argv)
{
    asking o = { 0 };
    const option options[] = {
        { "path", 0, OPTION_TEXT, &o.path, "PATH", "where it would be sent (default: by what it looks like)" },
        { "class", 0, OPTION_TEXT, &o.privacy, "CLASS", "as if it said x-hearth-class" },
        { "key", 0, OPTION_TEXT, &o.as_key, "NAME", "as if it came with this key of the config" },
        { "model", 0, OPTION_TEXT, &o.model, "MODEL", "the server's default MODEL" },
        { "config", 0, OPTION_TEXT, &o.config_path, "FILE", "another config.yaml" },
        { "json", 0, OPTION_FLAG, &o.json, NULL, "one JSON document instead of text" },
    };
    privacy_class any;
    size_t n;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n != 1)
        return usage_error("route explain", "name one task or one file with a request");
    if (o.privacy && !privacy_class_parse(o.privacy, &any))
        return usage_error("route explain", "--class %s: public, internal, private or secret", o.privacy);
    if (o.path && !path_ok(o.path))
        return usage_error("route explain", "--path %s: a path such as /v1/messages", o.path);
    return explain(&o, argv[1]);
}
