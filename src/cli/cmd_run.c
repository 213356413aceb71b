/* cmd_run.c: `hearth run MODEL [PROMPT]`: one answer, or a conversation in the terminal.
 *
 * With a chat template the conversation is a list of messages, rendered whole each turn; the session reuses what it has
 * of it. A model without one continues text: what is typed is appended to the text so far. Nothing is ever cut: when
 * the context is full this is said, and the user decides (/clear, /drop). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/conversation.h"
#include "cli/input.h"
#include "cli/load.h"
#include "cli/line.h"
#include "cli/shape.h"
#include "plat/random.h"

static const usage page = {
    "hearth run [OPTION]... MODEL [PROMPT]",
    "Answers PROMPT, or what standard input says, or opens a conversation on a terminal (/help there). Uses the\n"
    "model's own chat template; a base model without one continues the text. Ctrl-C stops an answer and keeps the\n"
    "conversation. Statistics go to standard error.\n\n"
    "example:\n"
    "  hearth run SmolLM2-135M-Instruct.Q4_1 'Name three rivers in Europe.' --temp 0\n",
};

enum { PROMPT_BYTES_MAX = 8 << 20 };

typedef struct run_options {
    load_options load;
    double temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    int64_t top_k, repeat_last_n, seed, max_tokens;
    option_list stops;
    const char *system_text, *file;
    bool raw, quiet, special, no_speculation;
    shape_options shape;
} run_options;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Without SA_RESTART: an interrupt must also end a read that waits for input. */
static void catch_interrupts(void)
{
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_interrupt;
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
}

static bool print_event(void *user, const generate_event *e)
{
    (void)user;
    bool lost = false;
    if (e->kind == GENERATE_TEXT) {
        fwrite(e->text, 1, e->text_bytes, stdout);
        lost = cli_flush() != 0; /* nobody reads on: a full disk, a pipe that was closed */
    } else if (e->kind == GENERATE_PREFILL && e->total > 1024 && cli_is_terminal(STDERR_FILENO)) {
        fprintf(stderr, "\rreading %u of %u tokens ", e->done, e->total);
        if (e->done >= e->total)
            fprintf(stderr, "\r%40s\r", "");
    }
    return interrupted || lost;
}

static void print_statistics(const generate_result *r)
{
    uint32_t fed = r->n_prompt - r->n_reused;
    fprintf(stderr, "%s[prompt %u tokens", cli_style(2, "\033[2m"), r->n_prompt);
    if (r->n_reused)
        fprintf(stderr, ", %u of them known", r->n_reused);
    if (r->prefill_s > 0)
        fprintf(stderr, ", %.0f tokens/s", fed / r->prefill_s);
    fprintf(stderr, "; first token after %.2f s; answer %u tokens", r->first_token_s, r->n_tokens);
    if (r->decode_s > 0 && r->n_tokens > 1)
        fprintf(stderr, ", %.1f tokens/s", (r->n_tokens - 1) / r->decode_s);
    if (r->n_forced)
        fprintf(stderr, "; %u forced", r->n_forced);
    if (r->n_drafted)
        fprintf(stderr, "; %u of %u foreseen", r->n_accepted, r->n_drafted);
    fprintf(stderr, "; %s]%s\n", finish_reason_name(r->finish), cli_style(2, "\033[0m"));
}

/* One answer to the conversation as it stands; its text becomes the next message. talking: more may follow. */
static status answer(conversation *c, const sampling_options *sampling, bool quiet, bool talking, error *err)
{
    generate_result r;
    interrupted = 0;
    status s = conversation_answer(c, sampling, print_event, NULL, &r, err);
    if (s)
        return s;
    printf("\n");
    cli_flush();
    bool drop = talking && conversation_is_chat(c);
    if (r.finish == FINISH_CONTEXT)
        fprintf(stderr, "The context of %u tokens is full; nothing was cut. %s%s--ctx gives more room.\n",
                conversation_context(c), drop ? "/drop forgets the oldest exchange, " : "",
                talking ? "/clear everything; " : "");
    if (sampling->grammar && (r.finish == FINISH_LENGTH || r.finish == FINISH_CONTEXT))
        fprintf(stderr, "The answer was cut before its form was complete.\n");
    if (!quiet)
        print_statistics(&r);
    return OK;
}

/* ---- the terminal ---- */

typedef struct repl {
    conversation *c;
    const sampling_options *sampling;
    bool quiet, done;
} repl;

static void say_help(repl *r, const char *rest)
{
    (void)r;
    (void)rest;
    fprintf(stderr, "/clear          forget the conversation\n/drop           forget its oldest exchange\n"
                    "/system TEXT    begin anew with this system message\n/context        how full the context is\n"
                    "/quit           leave (also Ctrl-D)\nCtrl-C stops an answer.\n");
}

static void do_clear(repl *r, const char *rest)
{
    (void)rest;
    conversation_clear(r->c, NULL);
}

static void do_system(repl *r, const char *rest)
{
    if (!conversation_is_chat(r->c))
        fprintf(stderr, "a system message needs a chat template, and here a text is continued\n");
    else if (!*rest)
        fprintf(stderr, "/system TEXT: a text is needed\n");
    else
        conversation_clear(r->c, rest);
}

static void do_drop(repl *r, const char *rest)
{
    (void)rest;
    if (!conversation_is_chat(r->c))
        fprintf(stderr, "a text has no exchanges to forget one by one; /clear forgets all of it\n");
    else if (!conversation_drop_oldest(r->c))
        fprintf(stderr, "there is nothing to forget\n");
}

static void do_context(repl *r, const char *rest)
{
    (void)rest;
    uint32_t n;
    error err = { 0 };
    if (conversation_length(r->c, &n, &err))
        fprintf(stderr, "%s\n", err.text);
    else
        fprintf(stderr, "%u of %u tokens\n", n, conversation_context(r->c));
}

static void do_quit(repl *r, const char *rest)
{
    (void)rest;
    r->done = true;
}

static const struct {
    const char *name;
    void (*run)(repl *r, const char *rest);
} repl_commands[] = {
    { "/help", say_help },     { "/?", say_help },     { "/clear", do_clear }, { "/drop", do_drop },
    { "/system", do_system }, { "/context", do_context }, { "/quit", do_quit },   { "/exit", do_quit },
};

static void run_command(repl *r, const char *line)
{
    size_t n = strcspn(line, " ");
    for (size_t i = 0; i < ARRAY_LEN(repl_commands); i++) {
        if (strlen(repl_commands[i].name) == n && memcmp(repl_commands[i].name, line, n) == 0) {
            repl_commands[i].run(r, line + n + (line[n] == ' '));
            return;
        }
    }
    fprintf(stderr, "'%.*s' is not a command; /help lists them (a blank before it makes it a text)\n", (int)n, line);
}

static status converse(repl *r, error *err)
{
    line_editor *p = NULL;
    status s = line_open(&p, "> ", err);
    while (!s && !r->done) {
        const char *line;
        interrupted = 0;
        line_result what = line_read(p, &line);
        if (what == LINE_END)
            break;
        if (what == LINE_INTERRUPTED || !line[0])
            continue;
        if (line[0] == '/') {
            run_command(r, line);
            continue;
        }
        error one = { 0 };
        status turn = conversation_say(r->c, line, &one);
        if (!turn)
            turn = answer(r->c, r->sampling, r->quiet, true, &one);
        if (turn) { /* a turn that failed is taken back: the conversation goes on */
            conversation_take_back(r->c);
            fprintf(stderr, "hearth run: %s\n", one.text);
        }
    }
    line_close(&p);
    return s;
}

/* ---- the command ---- */

static status fill_sampling(const run_options *o, sampling_options *s, error *err)
{
    sampling_options_init(s);
    s->temperature = (float)o->temperature;
    s->top_k = (uint32_t)o->top_k;
    s->top_p = (float)o->top_p;
    s->min_p = (float)o->min_p;
    s->repeat_penalty = (float)o->repeat_penalty;
    s->presence_penalty = (float)o->presence_penalty;
    s->frequency_penalty = (float)o->frequency_penalty;
    s->repeat_last_n = (uint32_t)o->repeat_last_n;
    s->max_tokens = (uint32_t)o->max_tokens;
    s->special = o->special;
    s->seed = (uint64_t)o->seed;
    if (o->seed < 0 && random_bytes(&s->seed, sizeof s->seed, err))
        return err ? err->code : E_IO;
    if (o->stops.n > SAMPLING_STOPS)
        return fail(err, E_RANGE, "at most %d --stop", SAMPLING_STOPS);
    for (size_t i = 0; i < o->stops.n; i++)
        s->stops[s->n_stops++] = o->stops.values[i];
    s->speculate = o->no_speculation ? SPECULATE_OFF : SPECULATE_AUTO;
    return sampling_options_check(s, err);
}

/* PROMPT, --file, or standard input when it is no terminal; *given false: a conversation is wanted. */
static status read_prompt(const run_options *o, const char *word, buf *text, bool *given, error *err)
{
    *given = word || o->file || !cli_is_terminal(STDIN_FILENO);
    if (word)
        buf_str(text, word);
    if (o->file || (!word && *given)) {
        status s = input_read_file(o->file ? o->file : "-", text, err);
        if (s)
            return s;
        if (memchr(buf_text(text), 0, text->len))
            return fail(err, E_FORMAT, "the prompt holds a zero byte: it is no text");
    }
    if (*given && text->len == 0)
        return fail(err, E_RANGE, "the prompt is empty");
    return buf_ok(text, "the prompt", err);
}

static status run(engine *e, const run_options *o, const sampling_options *sampling, const char *word, error *err)
{
    conversation *c = NULL;
    buf text = BUF_INIT(PROMPT_BYTES_MAX);
    bool given;
    status s = conversation_open(&c, e, o->raw, o->system_text, err);
    if (!s)
        s = read_prompt(o, word, &text, &given, err);
    catch_interrupts();
    if (!s && given) {
        s = conversation_say(c, buf_text(&text), err);
        if (!s)
            s = answer(c, sampling, o->quiet, false, err);
        if (!s && interrupted)
            s = E_CANCELLED; /* what came is shown and counted: there is nothing more to say */
    } else if (!s) {
        repl r = { .c = c, .sampling = sampling, .quiet = o->quiet };
        s = converse(&r, err);
    }
    buf_clear(&text);
    conversation_close(&c);
    return s;
}

int cmd_run(int argc, char **argv)
{
    run_options o = { .temperature = 0.8, .top_p = 0.95, .min_p = 0.05, .repeat_penalty = 1, .top_k = 40,
                      .repeat_last_n = 64, .seed = -1 };
    const option options[] = {
        LOAD_OPTIONS(o.load),
        { "max-tokens", 'n', OPTION_INT, &o.max_tokens, "N", "most tokens of an answer (default: until it ends)" },
        { "temp", 0, OPTION_FLOAT, &o.temperature, "T", "temperature; 0 takes the likeliest token (0.8)" },
        { "top-k", 0, OPTION_INT, &o.top_k, "N", "only the N likeliest tokens; 0: all (40)" },
        { "top-p", 0, OPTION_FLOAT, &o.top_p, "P", "only tokens that together have probability P (0.95)" },
        { "min-p", 0, OPTION_FLOAT, &o.min_p, "P", "only tokens with P times the likeliest's probability (0.05)" },
        { "repeat-penalty", 0, OPTION_FLOAT, &o.repeat_penalty, "X", "of tokens in the window; 1: none (1)" },
        { "presence-penalty", 0, OPTION_FLOAT, &o.presence_penalty, "X", "once for tokens in the window (0)" },
        { "frequency-penalty", 0, OPTION_FLOAT, &o.frequency_penalty, "X", "for each time in the window (0)" },
        { "repeat-last-n", 0, OPTION_INT, &o.repeat_last_n, "N", "the window of the penalties (64)" },
        { "seed", 's', OPTION_INT, &o.seed, "N", "same seed, same answer (default: a fresh one)" },
        { "stop", 0, OPTION_LIST, &o.stops, "TEXT", "end the answer before this text; may be given again" },
        { "schema", 0, OPTION_TEXT, &o.shape.schema_file, "FILE", "the answer is JSON that this JSON Schema accepts" },
        { "json", 0, OPTION_FLAG, &o.shape.json, NULL, "the answer is one JSON object" },
        { "grammar", 0, OPTION_TEXT, &o.shape.grammar_file, "FILE",
          "the answer is a text of this grammar (GBNF, see llama.cpp)" },
        { "system", 0, OPTION_TEXT, &o.system_text, "TEXT", "system message" },
        { "file", 'f', OPTION_TEXT, &o.file, "FILE", "read the prompt from FILE ('-': standard input)" },
        { "raw", 0, OPTION_FLAG, &o.raw, NULL, "no chat template: continue the text" },
        { "special", 0, OPTION_FLAG, &o.special, NULL, "show control tokens in the answer" },
        { "no-speculation", 0, OPTION_FLAG, &o.no_speculation, NULL, "one token a step (the answer is the same)" },
        { "quiet", 'q', OPTION_FLAG, &o.quiet, NULL, "no statistics" },
    };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words < 1 || n_words > 2)
        return usage_error("run", "a MODEL is needed, and one PROMPT at most (put it into quotes)");
    if (n_words == 2 && o.file)
        return usage_error("run", "PROMPT and --file: one of them");
    if ((code = load_check("run", &o.load)) != EXIT_OK)
        return code;
    if (o.max_tokens < 0 || o.top_k < 0 || o.repeat_last_n < 0 || o.max_tokens > INT32_MAX || o.top_k > INT32_MAX ||
        o.repeat_last_n > INT32_MAX)
        return usage_error("run", "counts must not be negative");
    if ((o.shape.schema_file != NULL) + (o.shape.grammar_file != NULL) + o.shape.json > 1)
        return usage_error("run", "--schema, --grammar and --json: one of them");
    engine *e = NULL;
    error err = { 0 };
    sampling_options sampling;
    if (fill_sampling(&o, &sampling, &err))
        return err.code == E_RANGE ? usage_error("run", "%s", err.text) : report("run", &err);
    status s = shape_open(&sampling.grammar, &o.shape, &err);
    o.load.grammars = sampling.grammar != NULL;
    if (!s)
        s = load_model(&e, argv[1], &o.load, &err);
    if (!s)
        s = run(e, &o, &sampling, n_words == 2 ? argv[2] : NULL, &err);
    shape_close(&sampling.grammar);
    engine_close(&e);
    return s == E_CANCELLED ? EXIT_NO : s ? report("run", &err) : EXIT_OK;
}
