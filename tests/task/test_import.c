/* Importing: files as the tools write them, read back as tasks whose ideal answers pass. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/random.h"
#include "task/csv.h"
#include "task/grade.h"
#include "task/import.h"
#include "task/lint.h"

/* JSON is written with ' for " in this file. */
static void add_json(buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_json(buf *out, const char *format, ...)
{
    char line[2000];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_true(n > 0 && n < (int)sizeof line);
    for (int i = 0; i < n; i++)
        buf_char(out, line[i] == '\'' ? '"' : line[i]);
}

static import_result *taken(const char *text, const char *name, import_options o)
{
    import_result *r = NULL;
    o.id = o.id ? o.id : "t";
    assert_ok(import_read(&r, text, strlen(text), name, &o, err));
    return r;
}

/* A file of tests/task/import. */
static char *read_file(const char *file)
{
    char path[100];
    buf text = BUF_INIT(1 << 20);
    snprintf(path, sizeof path, "tests/task/import/%s", file);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;)
        buf_char(&text, (char)c);
    fclose(f);
    return buf_take(&text);
}

static import_result *taken_file(const char *file, import_options o)
{
    char *text = read_file(file);
    assert_non_null(text);
    import_result *r = taken(text, file, o);
    mem_free(text);
    return r;
}

static void print_problems(const import_result *r)
{
    for (size_t i = 0; i < r->n_problems && i < IMPORT_PROBLEMS_MAX; i++)
        printf("%d: %s (%zu)\n", r->problems[i].line, r->problems[i].text, r->problems[i].times);
}

static bool has_problem(const import_result *r, int line, const char *text)
{
    for (size_t i = 0; i < r->n_problems && i < IMPORT_PROBLEMS_MAX; i++)
        if (strstr(r->problems[i].text, text) && (line < 0 || r->problems[i].line == line))
            return true;
    print_problems(r);
    return false;
}

static task *opened(const import_task *made)
{
    task *t = NULL;
    assert_ok(task_parse(&t, made->yaml.data, made->yaml.len, made->id, err));
    assert_ok(task_parse_cases(t, made->cases.data, made->cases.len, err));
    assert_int_equal(t->n_cases, made->n_cases);
    return t;
}

/* The task lints (but for what `but` names): every grader takes its own ideal answer. With one grader that of every
 * case passes as a whole. */
static task *round_trip(const import_task *made, const char *but)
{
    lint_report r;
    task *t = opened(made);
    assert_ok(lint_loaded(t, &r, err));
    for (size_t i = 0; i < r.n; i++)
        if (r.findings[i].level == LINT_ERROR && strcmp(r.findings[i].code, but))
            fail_msg("%s: %s\n%s", r.findings[i].code, r.findings[i].text, made->yaml.data);
    lint_report_clear(&r);
    for (size_t i = 0; i < t->n_cases; i++) {
        char *ideal = NULL;
        grade g = { 0 };
        if (!t->cases[i].expected || t->n_graders > 1)
            continue;
        assert_ok(grade_ideal(t, &t->cases[i], &ideal, err));
        if (ideal)
            assert_ok(grade_answer(t, &t->cases[i], ideal, strlen(ideal), &g, err));
        if (ideal && g.outcome != GRADE_PASS)
            fail_msg("%s: '%s' does not pass: %s", t->cases[i].id, ideal, g.reason);
        mem_free(ideal);
    }
    return t;
}

static void asks(const task *t, size_t i, size_t message, const char *wanted)
{
    task_messages m = { 0 };
    assert_ok(task_render(t, &t->prompt, t->cases[i].input, t->cases[i].id, &m, err));
    assert_true(message < m.n);
    assert_string_equal(m.items[message].content, wanted);
    task_messages_clear(&m);
}

/* ---- promptfoo ---- */


static void promptfoo_becomes_tasks_by_prompt_and_graders(void **state)
{
    (void)state;
    import_result *r = taken_file("promptfooconfig.yaml", (import_options){ .privacy = PRIVACY_PRIVATE });
    if (r->n_problems)
        print_problems(r);
    assert_int_equal(r->n_problems, 0);
    assert_int_equal(r->n_read, 5);
    assert_int_equal(r->n_tasks, 6); /* two prompts, three sets of graders */
    task *t = round_trip(&r->tasks[0], "");
    assert_int_equal(t->n_cases, 3); /* a list of variables is two of them */
    assert_int_equal(t->privacy, PRIVACY_PRIVATE);
    asks(t, 1, 0, "Answer Grace in English: My invoice of last month shows the wrong VAT number again.");
    grade g;
    assert_ok(grade_answer(t, &t->cases[0], "Hello Ada!", 10, &g, err));
    assert_int_equal(g.outcome, GRADE_PASS);
    assert_ok(grade_answer(t, &t->cases[0], "Hello Ada, as an AI I", 21, &g, err));
    assert_int_equal(g.outcome, GRADE_WRONG);
    assert_ok(grade_answer(t, &t->cases[0], "Hello Bob!", 10, &g, err));
    assert_int_equal(g.outcome, GRADE_WRONG);
    assert_string_equal(t->cases[1].cluster, t->cases[2].cluster); /* the same message to two customers */
    task_close(&t);
    t = round_trip(&r->tasks[1], "");
    static const char good[] = "Yes (of course).\\E Return it within 30 days for a refund. return";
    assert_ok(grade_answer(t, &t->cases[0], good, strlen(good), &g, err));
    assert_int_equal(g.outcome, GRADE_PASS);
    assert_ok(grade_answer(t, &t->cases[0], good + 1, strlen(good) - 1, &g, err));
    assert_int_equal(g.outcome, GRADE_WRONG);
    task_close(&t);
    t = round_trip(&r->tasks[2], "");
    assert_ok(grade_answer(t, &t->cases[0], "{\"name\":1}", 10, &g, err));
    assert_int_equal(g.outcome, GRADE_MALFORMED);
    assert_ok(grade_answer(t, &t->cases[0], "{\"name\":\"x\"}", 12, &g, err));
    assert_int_equal(g.outcome, GRADE_PASS);
    task_close(&t);
    t = round_trip(&r->tasks[3], "unused");
    asks(t, 0, 0, "Be brief.");
    asks(t, 0, 1, "Where is my parcel, order 1001?");
    task_close(&t);
    import_close(&r);
}

static void what_promptfoo_has_and_we_have_not_is_listed(void **state)
{
    (void)state;
    import_result *r = taken_file("promptfoo_other.yaml", (import_options){ 0 });
    assert_true(has_problem(r, 2, "'scenarios' cannot be taken over"));
    assert_true(has_problem(r, 1, "another file (file://prompt.txt)"));
    assert_true(has_problem(r, 1, "no statements such as {% if %}"));
    assert_true(has_problem(r, 5, "'threshold' of a test"));
    assert_true(has_problem(r, 4, "'llm-rubric' has no grader here"));
    assert_true(has_problem(r, 7, "without an assertion that could be taken over"));
    assert_true(has_problem(r, 9, "a test without an assertion"));
    assert_true(has_problem(r, 10, "a variable is in another file"));
    assert_true(has_problem(r, 11, "unknown key 'transform'"));
    assert_true(has_problem(r, 11, "a regular expression"));
    assert_true(has_problem(r, 13, "input.q is an image"));
    assert_int_equal(r->n_tasks, 1);
    task *t = round_trip(&r->tasks[0], "");
    assert_int_equal(t->n_cases, 1);
    assert_string_equal(js_text(t->cases[0].expected), "1");
    task_close(&t);
    import_close(&r);
}

static void csv_of_tests(void **state)
{
    (void)state;
    import_options o = { .prompt = "About {{product}}: {{question}}" };
    import_result *r = taken_file("tests.csv", o);
    assert_true(has_problem(r, 6, "'similar' has no grader here") && has_problem(r, 6, "could be taken over"));
    assert_int_equal(r->n_dropped, 1);
    assert_int_equal(r->n_tasks, 3);
    task *t = round_trip(&r->tasks[0], "");
    asks(t, 0, 0, "About Kettle: How hot, in \"C\"?");
    assert_string_equal(js_text(t->cases[0].expected), "100");
    task_close(&t);
    t = round_trip(&r->tasks[1], "");
    assert_int_equal(t->n_cases, 2);
    asks(t, 0, 0, "About Lamp: Two\nlines");
    task_close(&t);
    t = round_trip(&r->tasks[2], "");
    assert_string_equal(js_text(t->cases[0].expected), "What: it is");
    task_close(&t);
    import_close(&r);
    error why = { 0 };
    o.prompt = NULL;
    o.id = "t";
    assert_int_equal(import_read(&r, "a,b\n", 4, "tests.csv", &o, &why), E_FORMAT);
    assert_non_null(strstr(why.text, "2 variables and no prompt"));
}

/* ---- evals and logs ---- */

static void evals(void **state)
{
    (void)state;
    buf text = BUF_INIT(1 << 20);
    static const char *const cities[] = { "Paris", "Rome", "Oslo", "Bern", "Riga", "Kyiv" };
    for (int i = 0; i < 6; i++)
        add_json(&text, "{'input': [{'role': 'system', 'content': 'Answer with the name only.'}, {'role': 'user', "
                 "'content': 'Question number one: which city has the code %c%c-%d?'}], 'ideal': ['%s', '%s.']}\n",
                 'A' + i, 'Q' - i, i * 7919, cities[i], cities[i]);
    import_result *r = taken(buf_text(&text), "samples.jsonl", (import_options){ .privacy = PRIVACY_INTERNAL });
    assert_int_equal(r->format, IMPORT_OPENAI_EVALS);
    assert_int_equal(r->n_problems, 0);
    assert_int_equal(r->n_tasks, 1);
    task *t = round_trip(&r->tasks[0], "near-duplicate");
    assert_int_equal(t->privacy, PRIVACY_INTERNAL);
    assert_string_equal(t->prompt.messages[1].content, "Question number one: which city has the code {{input}}");
    asks(t, 5, 1, "Question number one: which city has the code FL-39595?");
    asks(t, 5, 0, "Answer with the name only.");
    task_close(&t);
    import_close(&r);
    buf_clear(&text);
}

static const char *const teams[] = { "billing", "shipping", "technical" };

/* Two applications in one log; the system prompt of one has a date in it. */
static void write_log(buf *out, int n)
{
    for (int i = 0; i < n; i++) {
        add_json(out, "{'request': {'model': 'gpt-4o', 'temperature': 0, 'messages': [{'role': 'system', 'content': "
                 "'You route tickets.\\nToday is 2025-03-%02d.'}, {'role': 'user', 'content': 'Ticket to sort:\\n\\n"
                 "word%d thing%d about item%d and nothing%d else%d at all%d\\n\\nAnswer with the name of a team.'}]}, "
                 "'response': {'choices': [{'message': {'role': 'assistant', 'content': '%s'}}]}}\n",
                 1 + i % 28, i, i, i, i, i, i, teams[i % 3]);
        if (i % 3 == 0)
            add_json(out, "{'id': 'chatcmpl-%d', 'call_type': 'acompletion', 'messages': [{'role': 'user', 'content': "
                     "'Summarise: text%d with words%d of its own%d kind%d'}], 'response': {'id': 'x', 'choices': "
                     "[{'index': 0, 'message': {'content': 'A text numbered %d.'}}]}}\n", i, i, i, i, i, i);
    }
}

static void logs_are_split_and_made_templates(void **state)
{
    (void)state;
    buf text = BUF_INIT(1 << 20);
    write_log(&text, 60);
    import_result *r = taken(buf_text(&text), "log.jsonl", (import_options){ .expected_from_response = true });
    if (r->n_problems)
        print_problems(r);
    assert_int_equal(r->n_problems + r->n_duplicates, 0);
    assert_int_equal(r->n_tasks, 2);
    assert_string_equal(r->tasks[1].id, "t-2");
    task *t = round_trip(&r->tasks[0], "");
    assert_int_equal(t->n_cases, 60);
    assert_int_equal(t->output, TASK_LABEL);
    assert_int_equal(t->n_labels, 3);
    assert_true(task_case_has_tag(&t->cases[0], "unreviewed"));
    assert_string_equal(t->prompt.messages[0].content, "You route tickets.\nToday is {{system}}");
    assert_string_equal(t->prompt.messages[1].content, "Ticket to sort:\n\n{{input}}\n\n"
                        "Answer with the name of a team.");
    asks(t, 4, 0, "You route tickets.\nToday is 2025-03-05.");
    asks(t, 4, 1, "Ticket to sort:\n\nword4 thing4 about item4 and nothing4 else4 at all4\n\n"
                  "Answer with the name of a team.");
    task_close(&t);
    t = round_trip(&r->tasks[1], "");
    assert_int_equal(t->n_cases, 20);
    assert_int_equal(t->output, TASK_TEXT);
    task_close(&t);
    import_close(&r);
    r = taken(buf_text(&text), "log.jsonl", (import_options){ .system = 2 });
    assert_int_equal(r->n_tasks, 1);
    assert_int_equal(r->tasks[0].n_cases, 20);
    assert_int_equal(r->tasks[0].n_expected, 0); /* not asked for */
    t = round_trip(&r->tasks[0], "no-expected");
    task_close(&t);
    import_close(&r);
    buf_clear(&text);
}

/* Lines that repeat one of `kinds` inputs, with other white space, are dropped; those that change one word of twelve
 * share a cluster. */
static void duplicates_go_and_near_ones_share_a_cluster(void **state)
{
    (void)state;
    enum { KINDS = 40 };
    buf text = BUF_INIT(4 << 20);
    size_t exact = 0, near = 0;
    for (int i = 0; i < 400; i++) {
        int k = i < KINDS ? i : (int)rnd(KINDS), how = i < KINDS ? 0 : (int)rnd(2);
        buf_printf(&text, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s", how == 0 && i >= KINDS ? "  " : "");
        for (int w = 0; w < 12; w++)
            buf_printf(&text, "k%dw%d%s", k, how == 1 && w == 11 ? 1000 + i : w,
                       w == 11 ? "" : how == 0 && i % 2 ? "\\n " : " ");
        buf_str(&text, "\"}],\"completion\":\"x\"}\n");
        exact += i >= KINDS && how == 0;
        near += how == 1;
    }
    import_result *r = taken(buf_text(&text), "log.jsonl", (import_options){ .format = IMPORT_OPENAI_LOG });
    assert_int_equal(r->n_tasks, 1);
    assert_int_equal(r->n_duplicates, exact);
    assert_int_equal(r->tasks[0].n_cases, KINDS + near);
    task *t = round_trip(&r->tasks[0], "no-expected");
    for (size_t i = 0; i < t->n_cases; i++)
        for (size_t k = 0; k < i; k++) {
            const char *a = js_text(t->cases[i].input), *b = js_text(t->cases[k].input);
            a += strspn(a, " ");
            b += strspn(b, " ");
            bool same_kind = strcspn(a, "w") == strcspn(b, "w") && !strncmp(a, b, strcspn(a, "w"));
            const char *x = t->cases[i].cluster, *y = t->cases[k].cluster;
            bool together = x && y && !strcmp(x, y);
            assert_int_equal(same_kind, together);
        }
    task_close(&t);
    import_close(&r);
    buf_clear(&text);
}

static void every_kind_of_log_line(void **state)
{
    (void)state;
    import_result *r = taken_file("log_kinds.jsonl", (import_options){ .expected_from_response = true });
    assert_int_equal(r->n_problems, 0);
    assert_int_equal(r->n_tasks, 1);
    task *t = round_trip(&r->tasks[0], "");
    static const char *const inputs[] = { "a one", "b\ntwo", "c three", "d four", "e five", "f six", "g seven" };
    assert_int_equal(t->n_cases, 7);
    for (size_t i = 0; i < 7; i++) {
        char wanted[3] = { 'A', (char)('1' + i), 0 };
        asks(t, i, 0, inputs[i]);
        assert_string_equal(js_text(t->cases[i].expected), wanted);
    }
    task_close(&t);
    import_close(&r);
}

static void what_a_log_cannot_give_is_listed(void **state)
{
    (void)state;
    import_result *r = taken_file("log_other.jsonl", (import_options){ 0 });
    assert_true(has_problem(r, 2, "messages[0].content[1] is of type 'image_url': tasks are text only"));
    assert_true(has_problem(r, 3, "messages[0].content is an image"));
    assert_true(has_problem(r, 4, "messages[1] is a call of a tool"));
    assert_true(has_problem(r, 5, "messages[0] is of a tool"));
    assert_true(has_problem(r, 6, "offers tools"));
    assert_true(has_problem(r, 7, "no message is the user's"));
    assert_true(has_problem(r, 8, "log_other.jsonl:8"));
    assert_true(has_problem(r, 9, "a line must be an object"));
    assert_true(has_problem(r, 10, "zero character"));
    assert_true(has_problem(r, 11, "no messages, prompt or input"));
    assert_true(has_problem(r, 12, "messages[0].content[0] is of type 'input_image'"));
    assert_int_equal(r->n_read, 12);
    assert_int_equal(r->n_dropped, 11);
    assert_int_equal(r->tasks[0].n_cases, 1);
    import_close(&r);
}

/* Whatever texts a group has in common: what is asked of each case is what was asked in the log. */
static void templates_lose_nothing(void **state)
{
    (void)state;
    static const char *const parts[] = { "Please ", "sort this ", "ticket now ", "{{x}} ", "\\n", "\\u2028",
                                         "{% if %} ", " a", "a ", "\\t", "é ", "{", "}} ",
                                         ": ", "# ", "- ", "'", "\\\"", "  " };
    for (int round = 0; round < 300; round++) {
        buf text = BUF_INIT(1 << 20);
        int n = 1 + (int)rnd(6), head = (int)rnd(6), tail = (int)rnd(6);
        int shared[12];
        for (int i = 0; i < 12; i++)
            shared[i] = (int)rnd(ARRAY_LEN(parts));
        for (int i = 0; i < n; i++) {
            buf_str(&text, "{\"messages\":[{\"role\":\"system\",\"content\":\"");
            for (int k = 0; k < tail; k++)
                buf_str(&text, parts[shared[k]]);
            buf_str(&text, "\"},{\"role\":\"user\",\"content\":\"");
            for (int k = 0; k < head; k++)
                buf_str(&text, parts[shared[k]]);
            for (int k = 0; k < 3; k++)
                buf_str(&text, parts[rnd(ARRAY_LEN(parts))]);
            buf_printf(&text, "%d", i);
            for (int k = 0; k < tail; k++)
                buf_str(&text, parts[shared[6 + k]]);
            buf_str(&text, "\"}]}\n");
        }
        import_result *r = taken(buf_text(&text), "x.jsonl", (import_options){ .format = IMPORT_OPENAI_LOG });
        if (r->n_problems)
            print_problems(r);
        assert_int_equal(r->n_problems, 0);
        assert_int_equal(r->n_tasks, 1);
        task *t = opened(&r->tasks[0]);
        assert_int_equal(t->n_cases + r->n_duplicates, n);
        const char *line = buf_text(&text);
        for (size_t i = 0; i < t->n_cases && !r->n_duplicates; i++) {
            const char *stop = strchr(line, '\n');
            js *record = NULL;
            assert_ok(js_parse(&record, line, (size_t)(stop - line), "x", 1, err));
            for (size_t k = 0; k < 2; k++)
                asks(t, i, k, js_text(js_get(js_at(js_get(record, "messages"), k), "content")));
            js_free(record);
            line = stop + 1;
        }
        task_close(&t);
        import_close(&r);
        buf_clear(&text);
    }
}

/* ---- lm-eval ---- */

static void lm_eval_samples(void **state)
{
    (void)state;
    import_result *r = taken_file("samples_sums.jsonl", (import_options){ 0 });
    assert_int_equal(r->format, IMPORT_LM_EVAL);
    assert_int_equal(r->n_problems, 0);
    assert_int_equal(r->n_duplicates, 1); /* a line for each filter */
    task *t = round_trip(&r->tasks[0], "");
    assert_true(t->prompt.plain && t->n_cases == 3);
    asks(t, 1, 0, "Question: 3*3?\nAnswer:");
    assert_string_equal(js_text(t->cases[1].expected), "9");
    assert_true(t->sampling.max_tokens == 64 && t->sampling.n_stop == 2);
    assert_string_equal(t->sampling.stop[0], "Question:");
    task_close(&t);
    import_close(&r);

    r = taken_file("samples_bool.jsonl", (import_options){ 0 });
    assert_int_equal(r->n_problems, 0);
    t = round_trip(&r->tasks[0], "");
    assert_true(t->n_labels == 2 && !strcmp(t->labels[0], "yes") && !strcmp(t->labels[1], "no"));
    static const char *const right[] = { "yes", "no", "no" };
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(js_text(t->cases[i].expected), right[i]);
    task_close(&t);
    import_close(&r);

    r = taken_file("samples_choices.jsonl", (import_options){ 0 });
    assert_true(has_problem(r, 3, "names none of the 2 choices"));
    assert_true(has_problem(r, 4, "choices stand inside the prompt"));
    assert_true(has_problem(r, 5, "only the likelihood"));
    t = round_trip(&r->tasks[0], "");
    assert_int_equal(t->n_labels, 3);
    assert_string_equal(js_text(t->cases[0].expected), "B");
    assert_string_equal(js_text(t->cases[1].expected), "A");
    asks(t, 0, 0, "Q: a fruit?\n\nA. car\nB. pear\nC. sea\n\nAnswer with the letter of the right choice.");
    task_close(&t);
    import_close(&r);
}

static void a_file_of_no_known_kind_is_refused(void **state)
{
    (void)state;
    static const struct { const char *text, *name, *says; } bad[] = {
        { "", "x.jsonl", "cannot be told" },
        { "{\"a\":1}\n", "x.jsonl", "cannot be told" },
        { "- 1\n", "x.yaml", "a map with prompts" },
        { "a: [\n", "x.yaml", "x.yaml:" },
        { "", "x.csv", "it is empty" },
        { "a,a,__expected\n", "x.csv", "there twice" },
        { "a\n\"x\n", "x.csv", "x.csv:2: a quote" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        import_result *r = NULL;
        import_options o = { .id = "t" };
        error err = { 0 };
        status s = import_read(&r, bad[i].text, strlen(bad[i].text), bad[i].name, &o, &err);
        if (!s || !strstr(err.text, bad[i].says))
            fail_msg("%s: '%s'", bad[i].name, s ? err.text : "accepted");
        assert_null(r);
    }
}

/* Without memory there is an error, and nothing is left behind (which the sanitizers see). */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const files[] = { "promptfooconfig.yaml", "promptfoo_other.yaml", "tests.csv", "log_kinds.jsonl",
                                         "log_other.jsonl", "samples_sums.jsonl", "samples_choices.jsonl" };
    size_t failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *text = read_file(files[i]);
        assert_non_null(text);
        for (uint64_t n = 1, done = 0; !done; n += 1 + n / 16) {
            import_result *r = NULL;
            import_options o = { .id = "t", .prompt = "{{product}}: {{question}}", .expected_from_response = true };
            error err = { 0 };
            uint64_t before = mem_count();
            mem_fail_at(n);
            status s = import_read(&r, text, strlen(text), files[i], &o, &err);
            mem_fail_at(0);
            done = mem_count() - before < n;
            failed += s != OK;
            /* a buffer cannot tell its ceiling from want of memory, nor yaml.h a number */
            bool told = s == E_NOMEM || s == E_RANGE || strstr(err.text, "must be a number") ||
                        strstr(err.text, "must be a whole number");
            if (s && (!told || r))
                fail_msg("%s, allocation %d: %s", files[i], (int)n, err.text);
            import_close(&r);
        }
        mem_free(text);
    }
    assert_true(failed > 100);
}

/* ---- csv: what is written by the rules of RFC 4180 is read back ---- */

static void csv_reads_what_was_written(void **state)
{
    (void)state;
    static const char *const bits[] = { "a", "\"", ",", "\n", "\r\n", " ", "é", "''", "x,y", "" };
    for (int round = 0; round < 300; round++) {
        enum { ROWS = 5, COLUMNS = 4 };
        char cells[ROWS][COLUMNS][64];
        buf text = BUF_INIT(1 << 16);
        for (int i = 0; i < ROWS; i++)
            for (int k = 0; k < COLUMNS; k++) {
                char *c = cells[i][k];
                *c = 0;
                for (uint32_t n = rnd(6); n; n--)
                    strncat(c, bits[rnd(ARRAY_LEN(bits))], 8);
                bool quote = strpbrk(c, "\",\r\n") || rnd(2);
                buf_str(&text, quote ? "\"" : "");
                for (const char *p = c; *p; p++)
                    buf_str(&text, *p == '"' ? "\"\"" : (char[2]){ *p, 0 });
                buf_str(&text, quote ? "\"" : "");
                buf_str(&text, k + 1 < COLUMNS ? "," : i + 1 < ROWS || round % 2 ? round % 3 ? "\n" : "\r\n" : "");
            }
        csv *r = NULL;
        csv_row row;
        bool more = false;
        assert_ok(csv_open(&r, buf_text(&text), text.len, "x.csv", err));
        for (int i = 0; i < ROWS; i++) {
            assert_ok(csv_next(r, &row, &more, err));
            assert_true(more && row.n == COLUMNS);
            for (int k = 0; k < COLUMNS; k++)
                assert_string_equal(row.fields[k], cells[i][k]);
        }
        assert_ok(csv_next(r, &row, &more, err));
        assert_false(more);
        csv_close(&r);
        buf_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promptfoo_becomes_tasks_by_prompt_and_graders),
        cmocka_unit_test(what_promptfoo_has_and_we_have_not_is_listed),
        cmocka_unit_test(csv_of_tests),
        cmocka_unit_test(evals),
        cmocka_unit_test(logs_are_split_and_made_templates),
        cmocka_unit_test(duplicates_go_and_near_ones_share_a_cluster),
        cmocka_unit_test(every_kind_of_log_line),
        cmocka_unit_test(what_a_log_cannot_give_is_listed),
        cmocka_unit_test(templates_lose_nothing),
        cmocka_unit_test(lm_eval_samples),
        cmocka_unit_test(a_file_of_no_known_kind_is_refused),
        cmocka_unit_test(csv_reads_what_was_written),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
