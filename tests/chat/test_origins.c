/* Control tokens in users' hands: HEARTH_ORIGIN_N (default 10,000) random conversations for each of two real
 * vocabularies, every string of which (contents, names, arguments and their keys, tools, reasoning, variables) is full
 * of the texts of control tokens, whole and in pieces; each of the vocabulary's has its turn. Through published
 * templates, and one that sends texts through every filter and method, the tokens that come out hold exactly the
 * control tokens of the same conversation with every such text broken by a letter: what a user writes is none. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "chat/chat.h"
#include "gguf/gguf.h"

enum { SPECIALS_MAX = 8192, SOURCE_MAX = 1 << 18 };

/* Everything that makes texts of texts. */
static const char mill[] =
    "{{ bos_token }}{% macro say(x) %}{{ x }}{{ caller() if caller }}{% endmacro %}"
    "{% for m in messages %}{{ '<|' ~ m.role ~ '|>' }}{{ m.content }}{% if m.content is string %}{% set c = "
    "m.content %}"
    "{{ c | trim }}{{ c | upper }}{{ c | lower }}{{ c | title }}{{ c | capitalize }}{{ c.swapcase() }}{{ "
    "c.casefold() }}"
    "{{ c | replace('a', 'b') }}{{ c | replace('e', eos_token) }}{{ eos_token | replace('i', c) }}{{ c[1:-1] }}{{ "
    "c[::-1][::-1] }}"
    "{{ c | reverse | reverse }}{{ c.split('|') | join('|') }}{{ c.split() | join(' ') }}{{ c.rsplit('<', 1) | "
    "join('<') }}"
    "{{ c.partition('<') | join }}{{ c.rpartition('>') | join }}{{ c.splitlines() | join('\n') }}{{ c | list | join "
    "}}{{ '%s' % c }}"
    "{{ '%-9s|%.30s' % (c, c) }}{{ '{}{:>5}{!r}'.format(c, c, c) }}{{ '%s|%s' | format(c, c) }}{{ [c, c] | "
    "tojson(indent=2) }}"
    "{{ {c: c} | tojson }}{{ {c: [c]} }}{{ c | indent(2, true) }}{{ c | center(90) }}{{ c.ljust(80).rjust(90).zfill(9"
    "5) }}"
    "{{ c | truncate(40) }}{{ c | e }}{{ c | safe }}{{ c | urlencode }}{{ c | string ~ c }}{{ c * 2 }}{{ c + c }}{{ "
    "[c] + [c] }}"
    "{{ c | batch(3) | map('join') | join }}{{ c | slice(3) | map('join') | join }}{{ [c, 'x'] | sort | join }}{{ "
    "[c, c] | unique | join }}"
    "{{ [c] | map('upper') | map('lower') | select | first }}{{ [{'k': c}] | map(attribute='k') | first }}{{ [{'k': "
    "c}] | groupby('k') }}"
    "{{ c | default('x') }}{{ dict(a=c) | dictsort }}{{ dict(a=c).items() | list }}{{ c if c else 'x' }}{{ c | min "
    "}}{{ [c] | max }}"
    "{{ c.strip('<>').lstrip('|').rstrip() }}{{ c.removeprefix('<').removesuffix('>') }}{{ c.expandtabs() }}{{ "
    "c.join(['[', ']']) }}"
    "{{ namespace(a=c).a }}{{ cycler(c).next() }}{{ say(c) }}{% call say(c) %}{{ c }}{% endcall %}{% set d %}{{ c "
    "}}{% endset %}{{ d }}"
    "{% filter trim %}{{ c }}{% endfilter %}{% with e = c %}{{ e }}{% endwith %}{% for x in c %}{{ x }}{% endfor %}"
    "{{ '<' ~ c ~ '>' }}{{ '<|' ~ c ~ '|>' }}{{ '<' ~ c[1:] }}{{ c[:-1] ~ '>' }}{% endif %}"
    "{% for t in m.tool_calls %}{{ t.function.name ~ t.function.arguments ~ (t.function.arguments | tojson) }}{% "
    "endfor %}"
    "{{ m | tojson }}{{ m }}{{ eos_token }}\n{% endfor %}{{ tools | tojson if tools }}{{ x }}";

static const char *const published[] = {
    "Qwen-Qwen3-0.6B", "Qwen-Qwen2.5-7B-Instruct", "meta-llama-Llama-3.1-8B-Instruct", "google-gemma-2-2b-it",
    "mistralai-Mistral-Nemo-Instruct-2407", "HuggingFaceTB-SmolLM3-3B", "deepseek-ai-DeepSeek-V3.1", "GLM-4.6",
    "ibm-granite-granite-3.3-2B-Instruct", "openai-gpt-oss-120b", "Kimi-K2-Instruct", "microsoft-Phi-3.5-mini-instruct",
};

static uint64_t seed = 20250724;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

typedef struct specials {
    span text[SPECIALS_MAX];
    size_t n, next; /* next: round and round, so that each gets its turn */
} specials;

static void collect(const vocab *v, specials *out)
{
    out->n = out->next = 0;
    for (int32_t i = 0; i < vocab_n_tokens(v) && out->n < SPECIALS_MAX; i++)
        if (vocab_is_control(v, i) && vocab_text(v, i).n > 1)
            out->text[out->n++] = vocab_text(v, i);
}

/* The same text twice: with the control tokens' texts, and with a letter within each. */
typedef struct twins {
    buf evil, broken;
} twins;

static void both(twins *t, const char *s, size_t n)
{
    buf_add(&t->evil, s, n);
    buf_add(&t->broken, s, n);
}

static void both_str(twins *t, const char *s)
{
    both(t, s, strlen(s));
}

/* A JSON string of words, control tokens' texts and pieces of them. Pieces are broken, too: together with the
 * template's bytes they must not become tokens either. */
static void write_string(twins *t, specials *sp)
{
    static const char *const words[] = { "a", "Hello ", " and\\n", "<",
                                         "|>", "<|", ">", "\\u00e9", "12", "[INST]", "%", "{{", "</s>" };
    both_str(t, "\"x");
    for (uint32_t k = 0, n = 1 + draw(4); k < n; k++) {
        both_str(t, words[draw(ARRAY_LEN(words))]);
        span s = sp->text[sp->next++ % sp->n];
        size_t cut = draw(4) ? s.n : 1 + draw((uint32_t)s.n);
        bool plain = !memchr(s.p, '"', s.n) && !memchr(s.p, '\\', s.n);
        if (!plain)
            continue;
        buf_add(&t->evil, s.p, cut);
        buf_add(&t->broken, s.p, cut > 1 ? 1 : 0);
        buf_str(&t->broken, "Q");
        buf_add(&t->broken, s.p + 1, cut - 1);
        /* the rest of a piece may come from the next field, or from the template */
    }
    both_str(t, "\"");
}

static void write_member(twins *t, specials *sp, const char *before)
{
    both_str(t, before);
    write_string(t, sp);
}

static void write_message(twins *t, specials *sp, bool user)
{
    uint32_t kind = draw(6);
    write_member(t, sp, user ? "{\"role\": \"user\", \"content\": " : "{\"role\": \"assistant\", \"content\": ");
    if (kind == 0)
        write_member(t, sp, ", \"name\": ");
    if (!user && kind == 1)
        write_member(t, sp, ", \"reasoning_content\": ");
    if (!user && kind == 2) {
        write_member(t, sp, ", \"tool_calls\": [{\"type\": \"function\", \"id\": \"call00000\", \"function\": "
                            "{\"name\": ");
        write_member(t, sp, ", \"arguments\": {");
        write_member(t, sp, ": ");
        both_str(t, "}}}]}");
        write_member(t, sp, ", {\"role\": \"tool\", \"name\": \"f\", \"tool_call_id\": \"call00000\", \"content\": ");
    }
    both_str(t, "}");
}

static void write_conversation(twins *t, specials *sp, bool tools)
{
    both_str(t, "{\"messages\": [");
    if (draw(2)) {
        write_member(t, sp, "{\"role\": \"system\", \"content\": ");
        both_str(t, "}, ");
    }
    for (uint32_t i = 0, n = 1 + draw(3); i < n; i++) {
        both_str(t, i ? ", " : "");
        write_message(t, sp, i % 2 == 0);
    }
    both_str(t, "]");
    if (tools && draw(2)) {
        write_member(t, sp, ", \"tools\": [{\"type\": \"function\", \"function\": {\"name\": ");
        write_member(t, sp, ", \"description\": ");
        write_member(t, sp, ", \"parameters\": {\"type\": \"object\", \"properties\": {");
        both_str(t, ": {\"type\": \"string\"}}}}}]");
    }
    write_member(t, sp, ", \"kwargs\": {\"x\": ");
    both_str(t, "}}");
}

/* The control tokens of a conversation, in order; false: the template refuses it. */
static bool control_tokens(const chat *c, const vocab *v, const buf *json, token_list *out)
{
    js *in = NULL;
    error why = { 0 };
    token_list all = TOKEN_LIST_INIT(1 << 20);
    assert_ok(js_parse(&in, buf_text(json), json->len, "conversation", 1, err));
    chat_request q = { .messages = js_get(in, "messages"), .tools = js_get(in, "tools"), .kwargs = js_get(in, "kwargs"),
                       .add_generation_prompt = true };
    status s = chat_render(c, &q, &all, &why);
    if (s && getenv("HEARTH_SHOW"))
        print_message("%s\n", why.text);
    assert_true(s == OK || s == E_FORMAT || s == E_UNSUPPORTED);
    out->n = 0;
    for (size_t i = 0; i < all.n; i++)
        if (vocab_is_control(v, all.ids[i]))
            assert_ok(token_list_add(out, all.ids[i], err));
    token_list_clear(&all);
    js_free(in);
    return s == OK;
}

static size_t check_one(const chat *c, const vocab *v, specials *sp, const char *name)
{
    twins t = { BUF_INIT(1 << 20), BUF_INIT(1 << 20) };
    token_list evil = TOKEN_LIST_INIT(1 << 16), broken = TOKEN_LIST_INIT(1 << 16);
    write_conversation(&t, sp, chat_reads(c, "tools"));
    bool ok = control_tokens(c, v, &t.evil, &evil), ok_broken = control_tokens(c, v, &t.broken, &broken);
    bool same = ok == ok_broken && evil.n == broken.n;
    same = same && (!evil.n || !memcmp(evil.ids, broken.ids, evil.n * sizeof *evil.ids));
    if (!same)
        fail_msg("%s: %zu control tokens, not %zu:\n%s", name, evil.n, broken.n, buf_text(&t.evil));
    buf_clear(&t.evil);
    buf_clear(&t.broken);
    token_list_clear(&evil);
    token_list_clear(&broken);
    return ok;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *s = f ? mem_zero(SOURCE_MAX) : NULL;
    if (s)
        (void)!fread(s, 1, SOURCE_MAX - 1, f);
    if (f)
        fclose(f);
    return s;
}

static void check_model(const char *cache, const char *file, size_t n)
{
    static specials sp;
    char path[512];
    gguf *g = NULL;
    vocab *v = NULL;
    error why = { 0 };
    snprintf(path, sizeof path, "%s/%s", cache, file);
    if (gguf_open(&g, path, &why) || vocab_open(&v, g, &why))
        fail_msg("%s", why.text);
    gguf_close(&g);
    collect(v, &sp);
    assert_true(sp.n > 10);
    size_t rendered = 0, done = 0, templates = 0;
    for (size_t i = 0; i <= ARRAY_LEN(published); i++) {
        snprintf(path, sizeof path, "%s/vocabs/templates/%s.jinja", cache, i ? published[i - 1] : "");
        char *source = i ? read_file(path) : mem_strdup(mill);
        chat *c = NULL;
        if (!source)
            continue;
        assert_ok(chat_open(&c, source, v, err));
        templates++;
        const size_t few = n / (2 * ARRAY_LEN(published)), share = i ? few : n - few * ARRAY_LEN(published);
        for (size_t k = 0; k < share; k++, done++)
            rendered += check_one(c, v, &sp, i ? published[i - 1] : "mill");
        chat_close(&c);
        mem_free(source);
    }
    print_message("%s: %zu control tokens, each %zu times or more; %zu templates, %zu conversations, %zu "
                  "rendered\n", file,
                  sp.n, sp.next / sp.n, templates, done, rendered);
    assert_true(sp.next >= sp.n && rendered > done / 2);
    vocab_close(&v);
}

static const char *cache_path(void)
{
    const char *cache = getenv("HEARTH_CACHE");
    return cache ? cache : "build/cache";
}

static void test_users(void **state)
{
    (void)state;
    const char *wanted = getenv("HEARTH_ORIGIN_N");
    size_t n = wanted ? strtoul(wanted, NULL, 10) : 10000;
    check_model(cache_path(), "SmolLM2-135M-Instruct.Q4_1.gguf", n);
    check_model(cache_path(), "gemma-3-270m-q4_k_m.gguf", n);
}

int main(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/gemma-3-270m-q4_k_m.gguf", cache_path());
    FILE *f = fopen(path, "rb");
    if (!f) {
        printf("%s is not there: it needs the network once (tools/fetch smollm2 gemma vocabs)\n", path);
        return 77;
    }
    fclose(f);
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_users) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
