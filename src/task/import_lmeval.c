/* import_lmeval.c: what lm-eval writes with --log_samples: a line a document, with the rendered prompt in `arguments`
 * and the right answer in `target`.
 *
 * One argument with generation settings: a question with a free answer. Several arguments with one prompt and different
 * continuations: multiple choice. Where all documents have the same choices they become labels; else the choices are
 * written below the prompt and answered with a letter. */
#include <stdio.h>
#include <string.h>

#include "task/import_int.h"

enum { CHOICES_MAX = 26 };

typedef struct sample {
    js *context, *choices, *target; /* owned; choices NULL: free answer. target: a text, a list of texts, or an index */
    size_t right; /* of choices */
    int line;
} sample;

typedef struct samples {
    size_t n, size;
    sample *items;
    js *sampling; /* of the first; owned */
    bool sampling_differs;
} samples;

static void samples_clear(samples *all)
{
    for (size_t i = 0; i < all->n; i++) {
        js_free(all->items[i].context);
        js_free(all->items[i].choices);
        js_free(all->items[i].target);
    }
    mem_free(all->items);
    js_free(all->sampling);
    *all = (samples){ 0 };
}

/* arguments are [[context, continuation], …] or {"gen_args_0": {"arg_0": …, "arg_1": …}, …}. */
static const js *argument(const js *arguments, size_t request, size_t i)
{
    char key[40];
    snprintf(key, sizeof key, "gen_args_%zu", request);
    const js *one = js_is(arguments, JS_OBJECT) ? js_get(arguments, key) : js_at(arguments, request);
    snprintf(key, sizeof key, "arg_%zu", i);
    return js_is(one, JS_OBJECT) ? js_get(one, key) : js_at(one, i);
}

static js *trimmed(const js *text)
{
    span t = span_trim((span){ js_text(text), js_len(text) });
    return js_new_stringn(t.p, t.n);
}

/* ---- multiple choice ---- */

/* The target names a choice by its number, its letter or its text. */
static bool find_right(const js *choices, const js *target, size_t *out)
{
    int64_t number = -1;
    bool known = js_int(target, &number);
    if (js_is(target, JS_STRING)) {
        js *text = trimmed(target);
        const char *p = text ? js_text(text) : "";
        for (size_t i = 0; i < js_len(choices) && !known; i++)
            if (!strcmp(js_text(js_at(choices, i)), p)) {
                number = (int64_t)i;
                known = true;
            }
        if (!known)
            known = str_i64(p, &number);
        if (!known && p[0] >= 'A' && p[0] <= 'Z' && !p[1]) {
            number = p[0] - 'A';
            known = true;
        }
        js_free(text);
    }
    if (!known || number < 0 || (uint64_t)number >= js_len(choices))
        return false;
    *out = (size_t)number;
    return true;
}

static status read_choices(importer *im, const js *record, sample *s, bool *ok)
{
    const js *arguments = js_get(record, "arguments"), *context = argument(arguments, 0, 0);
    size_t n = js_len(arguments);
    *ok = false;
    if (n > CHOICES_MAX)
        return import_note(im, s->line, 1, "%zu choices; the limit is %d", n, CHOICES_MAX);
    s->choices = js_array();
    for (size_t i = 0; i < n; i++) {
        const js *one = argument(arguments, i, 0), *continuation = argument(arguments, i, 1);
        if (!js_is(one, JS_STRING) || !js_is(continuation, JS_STRING))
            return import_note(im, s->line, 1, "arguments[%zu] is no prompt with a continuation", i);
        if (!js_equal(one, context))
            return import_note(im, s->line, 1, "the choices stand inside the prompt (arguments[%zu] has another one): "
                               "that cannot be asked", i);
        if (!s->choices || !js_push(s->choices, trimmed(continuation)))
            return import_no_memory(im);
    }
    if (!find_right(s->choices, js_get(record, "target"), &s->right))
        return import_note(im, s->line, 1, "'target' names none of the %zu choices", n);
    *ok = true;
    return OK;
}

/* ---- free answers ---- */

static js *settings_of(const js *given)
{
    const js *until = js_get(given, "until"), *most = js_get(given, "max_gen_toks");
    js *out = js_object(), *stop = js_array();
    int64_t tokens = 0;
    bool ok = out && stop;
    if (js_is(until, JS_STRING) && js_len(until))
        ok = ok && js_push(stop, js_copy(until));
    for (size_t i = 0; ok && js_is(until, JS_ARRAY) && i < js_len(until) && js_len(stop) < TASK_STOPS_MAX; i++)
        if (js_is(js_at(until, i), JS_STRING) && js_len(js_at(until, i)))
            ok = js_push(stop, js_copy(js_at(until, i)));
    if (ok && js_int(most, &tokens) && tokens > 0 && tokens <= 1 << 20)
        ok = js_set(out, "max_tokens", js_new_int(tokens));
    if (ok && js_len(stop)) {
        ok = js_set(out, "stop", stop);
        stop = NULL;
    }
    js_free(stop);
    if (ok)
        return out;
    js_free(out);
    return NULL;
}

static status read_answer(importer *im, const js *record, samples *all, sample *s, bool *ok)
{
    const js *target = js_get(record, "target"), *given = argument(js_get(record, "arguments"), 0, 1);
    bool list = js_is(target, JS_ARRAY) && js_len(target);
    for (size_t i = 0; list && i < js_len(target); i++)
        list = js_is(js_at(target, i), JS_STRING);
    *ok = false;
    if (!list && !js_is(target, JS_STRING) && !js_is(target, JS_NUMBER))
        return import_note(im, s->line, 1, "'target' must be a text, a number or a list of texts");
    s->target = js_is(target, JS_STRING) ? trimmed(target)
                : list ? js_copy(target) : js_new_string(js_text(target));
    js *settings = settings_of(given);
    if (!s->target || !settings) {
        js_free(settings);
        return import_no_memory(im);
    }
    all->sampling_differs = all->sampling_differs || (all->sampling && !js_equal(all->sampling, settings));
    if (all->sampling)
        js_free(settings);
    else
        all->sampling = settings;
    *ok = true;
    return OK;
}

/* ---- lines ---- */

static status add_sample(importer *im, samples *all, const sample *s)
{
    if (all->n == all->size) {
        size_t size = all->size ? 2 * all->size : 64;
        sample *more = mem_resize(all->items, size * sizeof *more);
        if (!more)
            return import_no_memory(im);
        all->items = more;
        all->size = size;
    }
    all->items[all->n++] = *s;
    return OK;
}

static status sample_line(importer *im, void *at, const js *record, int line)
{
    samples *all = at;
    const js *arguments = js_get(record, "arguments"), *context = argument(arguments, 0, 0);
    sample s = { .line = line };
    bool ok = false;
    if (!js_is(context, JS_STRING))
        return import_note(im, line, 1, "'arguments' must hold the prompt (lm-eval writes it with --log_samples)");
    if (!argument(arguments, 0, 1))
        return import_note(im, line, 1, "only the likelihood of a text is measured: there is no question in it");
    status st = js_len(arguments) > 1 ? read_choices(im, record, &s, &ok) : read_answer(im, record, all, &s, &ok);
    if (!st && ok)
        st = (s.context = js_copy(context)) ? add_sample(im, all, &s) : import_no_memory(im);
    if (st || !ok) {
        js_free(s.context);
        js_free(s.choices);
        js_free(s.target);
    }
    return st;
}

/* ---- to conversations ---- */

static bool same_choices(const samples *all)
{
    for (size_t i = 0; i < all->n; i++)
        if (!all->items[i].choices || !js_equal(all->items[i].choices, all->items[0].choices))
            return false;
    for (size_t i = 0; all->n && i < js_len(all->items[0].choices); i++)
        for (size_t k = 0; k <= i; k++)
            if (!js_len(js_at(all->items[0].choices, i)) ||
                (k < i && js_equal(js_at(all->items[0].choices, k), js_at(all->items[0].choices, i))))
                return false;
    return all->n > 0;
}

/* The prompt with its choices, A to Z, below. */
static status ask_letter(importer *im, const sample *s, js **out)
{
    buf b = BUF_INIT(IMPORT_LINE_BYTES_MAX);
    buf_add(&b, js_text(s->context), js_len(s->context));
    buf_str(&b, "\n");
    for (size_t i = 0; i < js_len(s->choices); i++)
        buf_printf(&b, "\n%c. %s", (char)('A' + i), js_text(js_at(s->choices, i)));
    buf_str(&b, "\n\nAnswer with the letter of the right choice.");
    *out = b.failed ? NULL : js_new_stringn(buf_text(&b), b.len);
    buf_clear(&b);
    return *out ? OK : import_no_memory(im);
}

static status add_talk(importer *im, const samples *all, size_t i, bool labels, talks *out)
{
    const sample *s = &all->items[i];
    char letter[2] = { (char)('A' + s->right), 0 };
    js *asked = NULL, *messages = NULL, *answer = NULL;
    bool plain = true;
    status st = s->choices && !labels ? ask_letter(im, s, &asked) : OK;
    if (!st)
        st = talk_guess(im, asked ? asked : s->context, "the prompt", s->line, &messages, &plain);
    js_free(asked);
    if (st || !messages)
        return st;
    answer = !s->choices ? js_copy(s->target) : labels ? js_copy(js_at(s->choices, s->right)) : js_new_string(letter);
    if (!answer) {
        js_free(messages);
        return import_no_memory(im);
    }
    return talks_add(im, out, messages, answer, plain, false, s->line);
}

/* A, B, C … up to the longest list of choices; NULL when answers are free. */
static status letters(importer *im, const samples *all, js **out)
{
    size_t most = 0;
    for (size_t i = 0; i < all->n; i++)
        most = js_len(all->items[i].choices) > most ? js_len(all->items[i].choices) : most;
    if (most < 2)
        return OK;
    *out = js_array();
    for (size_t i = 0; i < most; i++) {
        char letter[2] = { (char)('A' + i), 0 };
        if (!*out || !js_push(*out, js_new_string(letter)))
            return import_no_memory(im);
    }
    return OK;
}

static bool all_choices(const samples *all)
{
    for (size_t i = 0; i < all->n; i++)
        if (!all->items[i].choices)
            return false;
    return all->n > 0;
}

status import_lm_eval(importer *im, const char *text, size_t n)
{
    samples all = { 0 };
    talks made = { 0 };
    status s = import_lines(im, text, n, sample_line, &all);
    bool labels = same_choices(&all);
    for (size_t i = 0; i < all.n && !s; i++)
        s = add_talk(im, &all, i, labels, &made);
    if (!s && labels)
        s = (made.labels = js_copy(all.items[0].choices)) ? OK : import_no_memory(im);
    else if (!s && all_choices(&all))
        s = letters(im, &all, &made.labels);
    if (!s && all.sampling && !all.sampling_differs && js_len(all.sampling)) {
        made.sampling = all.sampling;
        all.sampling = NULL;
    }
    if (!s)
        s = talks_finish(im, &made);
    talks_clear(&made);
    samples_clear(&all);
    return s;
}
