/* cmd_audit.c: hearth audit verify | egress | show | begin | key. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/verbs.h"
#include "plat/clock.h"
#include "privacy/audit_verify.h"

static const usage page = {
    "hearth audit verify [--key FILE] [--anchor N:DIGEST]… [--log FILE]\n"
    "       hearth audit egress [--since DATE]\n"
    "       hearth audit show N [--body FILE]\n"
    "       hearth audit begin [--print-key] [--anew]\n"
    "       hearth audit key [--take]",
    "Every request that leaves this machine is written down before its first byte does (docs/PRIVACY.md). The record\n"
    "has no text: when, which task and class, where to, how many bytes, for whom, and a keyed digest.\n"
    "  verify  whether a record was changed, removed, added or put elsewhere; exit code 1 with the first such record.\n"
    "          With the chain's first key it is certain, without it as far as audit.state and the anchors go\n"
    "  egress  what left, the newest last\n"
    "  show    one record; --body: whether this file is what was sent (needs the first key)\n"
    "  begin   a chain before the first release. --print-key: its first key is printed and not kept here.\n"
    "          --anew: the present chain is set aside as audit-CHAIN.log\n"
    "  key     prints the first key of the chain; --take: and removes it from this machine, so that who takes the\n"
    "          machine later cannot write another past\n"
    "examples:\n"
    "  hearth audit egress --since 2026-11-01\n"
    "  hearth audit verify --key /media/stick/audit.key --anchor 128:3f…\n",
};

typedef struct job {
    bool json, print_key, anew, take;
    const char *since, *key, *log, *body;
    option_list anchors;
    int64_t since_us;
} job;

static audit_question question_of(const job *j)
{
    audit_question q = { .log = j->log, .key_file = j->key, .n_anchors = j->anchors.n };
    for (size_t i = 0; i < j->anchors.n; i++)
        q.anchors[i] = j->anchors.values[i];
    return q;
}

/* ---- verify ---- */

static js *verdict_js(const audit_verdict *v)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        { "records", v->records }, { "releases", v->releases }, { "torn_bytes", v->torn_bytes },
        { "tail_bytes", v->tail_bytes }, { "ahead", v->ahead }, { "anchors", v->anchors },
    };
    char anchor[DIGEST_HEX + 24];
    js *o = js_object();
    snprintf(anchor, sizeof anchor, "%llu:%s", (unsigned long long)v->records, v->head);
    js_set(o, "holds", js_new_bool(v->holds));
    js_set(o, "keyed", js_new_bool(v->keyed));
    js_set(o, "key_here", js_new_bool(v->key_here));
    js_set(o, "chain", js_new_string(v->chain));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        js_set(o, numbers[i].key, js_new_int((int64_t)numbers[i].value));
    js_set(o, "first_us", v->first_us ? js_new_int(v->first_us) : js_null());
    js_set(o, "last_us", v->last_us ? js_new_int(v->last_us) : js_null());
    js_set(o, "anchor", v->holds && v->records ? js_new_string(anchor) : js_null());
    js_set(o, "fault_at", v->holds ? js_null() : js_new_int((int64_t)v->fault_at));
    js_set(o, "fault", v->holds ? js_null() : js_new_string(v->fault));
    return o;
}

static void print_verdict(const audit_verdict *v)
{
    char first[CLOCK_TEXT], last[CLOCK_TEXT];
    if (!v->records)
        printf("nothing has left this machine: there is no record\n");
    else
        printf("%llu records hold, %llu of them releases, from %s to %s\n", (unsigned long long)v->records,
               (unsigned long long)v->releases, clock_utc_text(v->first_us, first), clock_utc_text(v->last_us, last));
    if (v->torn_bytes)
        printf("writes that were cut off left %llu bytes; records account for them\n",
               (unsigned long long)v->torn_bytes);
    if (v->tail_bytes)
        printf("the last write was cut off, %llu bytes are no record: nothing of it was sent, the next will say so\n",
               (unsigned long long)v->tail_bytes);
    if (v->ahead)
        printf("%llu records at the end are newer than audit.state: a process ended before it could send\n",
               (unsigned long long)v->ahead);
    if (!v->records)
        return;
    printf("anchor %llu:%s (%llu older ones compared)\n", (unsigned long long)v->records, v->head,
           (unsigned long long)v->anchors);
    if (!v->keyed)
        printf("not proved: the first key is not here. Who had this machine could have written all of it anew, but not "
               "past an anchor that you kept\n");
    else if (v->key_here)
        printf("the first key lies on this machine, and whoever takes it could write all of this anew: "
               "hearth audit key --take\n");
}

static int verb_verify(const job *j, int n, char **words)
{
    audit_question q = question_of(j);
    audit_verdict v;
    error err = { 0 };
    (void)words;
    if (n)
        return usage_error("audit", "verify takes no arguments");
    if (audit_verify(&q, NULL, NULL, &v, &err))
        return report("audit", &err);
    if (j->json) {
        int code = cli_print_json(verdict_js(&v), "audit");
        return code ? code : v.holds ? EXIT_OK : EXIT_NO;
    }
    if (v.holds)
        print_verdict(&v);
    else
        printf("record %llu: %s\n", (unsigned long long)v.fault_at, v.fault);
    return v.holds ? EXIT_OK : EXIT_NO;
}

/* What is shown was read only as far as the log holds. */
static int warn_of_fault(const audit_verdict *v)
{
    if (v->holds)
        return EXIT_OK;
    fprintf(stderr, "hearth audit: the log does not hold from record %llu on (%s): nothing after it is shown\n",
            (unsigned long long)v->fault_at, v->fault);
    return EXIT_NO;
}

/* ---- egress ---- */

typedef struct table {
    const job *j;
    js *list; /* --json */
    size_t n;
} table;

static const char *text_of(const js *record, const char *key)
{
    const char *t = js_text(js_get(record, key));
    return t && t[0] ? t : "-";
}

/* One column: nothing in it acts on a terminal, no matter who wrote the log. */
static void print_cell(const char *text, size_t width, bool last)
{
    cli_print_text(text, "");
    size_t have = utf8_count(text, strlen(text));
    for (; !last && have < width + 2; have++)
        putchar(' ');
    if (last)
        putchar('\n');
}

static bool list_release(void *user, const js *record, span line, const uint8_t *key)
{
    static const struct {
        const char *key, *title;
        size_t width;
    } columns[] = {
        { "seq", "N", 6 }, { "at_us", "WHEN", 20 }, { "task", "TASK", 18 }, { "class", "CLASS", 8 },
        { "host", "DESTINATION", 30 }, { "model", "MODEL", 18 }, { "bytes", "BYTES", 8 }, { "caller", "CALLER", 0 },
    };
    table *t = user;
    int64_t at_us = 0;
    char when[CLOCK_TEXT];
    (void)line;
    (void)key;
    (void)js_int(js_get(record, "at_us"), &at_us);
    if (strcmp(text_of(record, "kind"), "release") != 0 || at_us < t->j->since_us)
        return true;
    if (t->list) {
        js_push(t->list, js_copy(record));
        return true;
    }
    for (size_t i = 0; t->n == 0 && i < ARRAY_LEN(columns); i++)
        print_cell(columns[i].title, columns[i].width, i + 1 == ARRAY_LEN(columns));
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        print_cell(i == 1 ? clock_utc_text(at_us, when) : text_of(record, columns[i].key), columns[i].width,
                   i + 1 == ARRAY_LEN(columns));
    t->n++;
    return true;
}

static int verb_egress(const job *j, int n, char **words)
{
    audit_question q = question_of(j);
    audit_verdict v;
    error err = { 0 };
    table t = { .j = j, .list = j->json ? js_array() : NULL };
    (void)words;
    if (n)
        return usage_error("audit", "egress takes no arguments");
    if (audit_verify(&q, list_release, &t, &v, &err)) {
        js_free(t.list);
        return report("audit", &err);
    }
    if (j->json) {
        js *doc = js_object();
        js_set(doc, "holds", js_new_bool(v.holds));
        js_set(doc, "releases", t.list);
        int code = cli_print_json(doc, "audit");
        if (code)
            return code;
    } else if (t.n == 0) {
        fprintf(stderr, "hearth audit: nothing left this machine%s%s\n", j->since ? " since " : "",
                j->since ? j->since : "");
    }
    return warn_of_fault(&v);
}

/* ---- show ---- */

typedef struct wanted {
    uint64_t sequence;
    const buf *body; /* NULL: not asked */
    js *record;
    bool keyed, fits;
} wanted;

static bool find_record(void *user, const js *record, span line, const uint8_t *key)
{
    wanted *w = user;
    int64_t seq = 0;
    (void)line;
    if (!js_int(js_get(record, "seq"), &seq) || (uint64_t)seq != w->sequence)
        return true;
    w->record = js_copy(record);
    w->keyed = key != NULL;
    w->fits = key && w->body && audit_body_fits(record, key, buf_text(w->body), w->body->len);
    return false;
}

static int show_record(const job *j, wanted *w)
{
    js_member m = { 0 };
    if (j->body && !w->keyed) {
        fprintf(stderr, "hearth audit: --body needs the chain's first key (--key FILE)\n");
        return EXIT_INPUT;
    }
    if (j->body)
        js_set(w->record, "body_fits", js_new_bool(w->fits));
    if (j->json) {
        js *copy = js_copy(w->record);
        int code = cli_print_json(copy, "audit");
        return code ? code : j->body && !w->fits ? EXIT_NO : EXIT_OK;
    }
    while (js_next(w->record, &m)) {
        int64_t us;
        char when[CLOCK_TEXT];
        printf("%-10s ", m.key);
        if (js_is(m.value, JS_BOOL))
            printf("%s\n", js_bool(m.value, false) ? "yes" : "no");
        else if (strcmp(m.key, "at_us") == 0 && js_int(m.value, &us))
            printf("%lld (%s)\n", (long long)us, clock_utc_text(us, when));
        else
            print_cell(text_of(w->record, m.key), 0, true);
    }
    return j->body && !w->fits ? EXIT_NO : EXIT_OK;
}

static int verb_show(const job *j, int n, char **words)
{
    audit_question q = question_of(j);
    audit_verdict v;
    error err = { 0 };
    buf body = BUF_INIT(64 << 20);
    wanted w = { .body = j->body ? &body : NULL };
    int code;
    if (n != 1 || !str_u64(words[0], &w.sequence) || w.sequence == 0)
        return usage_error("audit", "show takes the number of one record");
    if ((j->body && input_read_file(j->body, &body, &err)) || audit_verify(&q, find_record, &w, &v, &err)) {
        code = report("audit", &err);
    } else if (!w.record && v.holds) {
        fprintf(stderr, "hearth audit: there is no record %s\n", words[0]);
        code = EXIT_INPUT;
    } else if (!w.record) {
        code = warn_of_fault(&v);
    } else {
        code = show_record(j, &w);
    }
    js_free(w.record);
    buf_clear(&body);
    return code;
}

/* ---- begin, key ---- */

static int print_key(const job *j, const char *line, bool kept)
{
    const char *blank = strchr(line, ' ');
    if (j->json) {
        js *o = js_object();
        js_set(o, "chain", js_new_stringn(line, (size_t)(blank - line)));
        js_set(o, "key", js_new_string(blank + 1));
        js_set(o, "kept", js_new_bool(kept));
        return cli_print_json(o, "audit");
    }
    printf("%s\n", line);
    if (!kept)
        fprintf(stderr, "hearth audit: this line is not kept on this machine: keep it elsewhere, verify wants it "
                        "(--key FILE)\n");
    return EXIT_OK;
}

static int verb_begin(const job *j, int n, char **words)
{
    char line[AUDIT_KEY_LINE];
    error err = { 0 };
    (void)words;
    if (n)
        return usage_error("audit", "begin takes no arguments");
    if (audit_begin(j->print_key, j->anew, line, &err))
        return report("audit", &err);
    if (j->print_key)
        return print_key(j, line, false);
    *strchr(line, ' ') = 0;
    if (j->json) {
        js *o = js_object();
        js_set(o, "chain", js_new_string(line));
        js_set(o, "kept", js_new_bool(true));
        return cli_print_json(o, "audit");
    }
    printf("chain %s has begun; its first key is in audit.key beside config.yaml\n", line);
    return EXIT_OK;
}

static int verb_key(const job *j, int n, char **words)
{
    char line[AUDIT_KEY_LINE];
    error err = { 0 };
    (void)words;
    if (n)
        return usage_error("audit", "key takes no arguments");
    if (audit_take_key(j->take, line, &err))
        return report("audit", &err);
    return print_key(j, line, !j->take);
}

/* ---- which ---- */

enum { TAKES_READ = 1, TAKES_ANCHOR = 2, TAKES_SINCE = 4, TAKES_BODY = 8, TAKES_BEGIN = 16, TAKES_TAKE = 32 };
static const struct verb {
    verb_words words;
    int (*run)(const job *j, int n, char **words);
    int takes;
} verbs[] = {
    { { "verify", NULL }, verb_verify, TAKES_READ | TAKES_ANCHOR },
    { { "egress", NULL }, verb_egress, TAKES_READ | TAKES_SINCE },
    { { "show", NULL }, verb_show, TAKES_READ | TAKES_BODY },
    { { "begin", NULL }, verb_begin, TAKES_BEGIN },
    { { "key", NULL }, verb_key, TAKES_TAKE },
};
static const verb_table all_verbs = VERB_TABLE("audit", verbs);

int cmd_audit(int argc, char **argv)
{
    job j = { 0 };
    const option options[] = {
        { "key", 0, OPTION_TEXT, &j.key, "FILE", "the chain's first key, as `hearth audit key` prints it" },
        { "log", 0, OPTION_TEXT, &j.log, "FILE", "another log than the present one: set aside, or a copy" },
        { "anchor", 0, OPTION_LIST, &j.anchors, "N:DIGEST", "verify: record N must be the one that was seen then" },
        { "since", 0, OPTION_TEXT, &j.since, "DATE", "egress: only from this day on (2026-11-23, UTC)" },
        { "body", 0, OPTION_TEXT, &j.body, "FILE", "show: is this file what was sent?" },
        { "print-key", 0, OPTION_FLAG, &j.print_key, NULL, "begin: the first key is printed and not kept here" },
        { "anew", 0, OPTION_FLAG, &j.anew, NULL, "begin: sets the present chain aside" },
        { "take", 0, OPTION_FLAG, &j.take, NULL, "key: and remove it from this machine" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document on standard output" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n == 0)
        return verbs_unknown(&all_verbs, NULL);
    if (j.since && !input_date(j.since, &j.since_us))
        return usage_error("audit", "--since %s: must be a date such as 2026-11-23", j.since);
    int given = (j.key || j.log ? TAKES_READ : 0) | (j.anchors.n ? TAKES_ANCHOR : 0) | (j.since ? TAKES_SINCE : 0) |
                (j.body ? TAKES_BODY : 0) | (j.print_key || j.anew ? TAKES_BEGIN : 0) | (j.take ? TAKES_TAKE : 0);
    size_t i = verbs_find(&all_verbs, argv[1]);
    if (i == all_verbs.n)
        return verbs_unknown(&all_verbs, argv[1]);
    if (given & ~verbs[i].takes)
        return usage_error("audit", "%s takes none of these options", argv[1]);
    return verbs[i].run(&j, (int)n - 1, argv + 2);
}
