/* make.c: grammars that need no rules of their own to be written down: one expression, a list, any JSON object. */
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar.h"
#include "grammar/rules.h"

/* One terminal is the whole grammar. */
static status of_lang(rules **r, lang l, grammar **out, error *err)
{
    return rules_compile(r, rules_token(*r, l), out, err);
}

status grammar_regex(grammar **out, const char *pattern, size_t n, error *err)
{
    rules *r = NULL;
    lang l = LANG_NONE;
    status st = rules_open(&r, err);
    if (!st)
        st = lang_regex(rules_langs(r), pattern, n, LANG_WHOLE, &l, err);
    if (!st)
        st = of_lang(&r, l, out, err);
    rules_close(&r);
    return st;
}

status grammar_choice(grammar **out, const span *choices, size_t n, error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += choices[i].n;
        if (total > GRAMMAR_MAX_TEXT)
            return fail(err, E_RANGE, "choices of more than %d bytes", GRAMMAR_MAX_TEXT);
    }
    rules *r = NULL;
    lang *each = n <= GRAMMAR_MAX_TEXT ? mem_array(n, sizeof *each) : NULL;
    status st = each ? rules_open(&r, err) : fail(err, E_NOMEM, "no memory for %zu choices", n);
    for (size_t i = 0; !st && i < n; i++)
        each[i] = lang_text(rules_langs(r), choices[i].p, choices[i].n);
    if (!st)
        st = of_lang(&r, lang_alt_n(rules_langs(r), each, n), out, err);
    mem_free(each);
    rules_close(&r);
    return st;
}

/* ---- JSON ---- */

static const char json_string[] = "\"([^\"\\\\\\x00-\\x1F]|\\\\([\"\\\\/bfnrt]|u([0-9a-cA-CefEF][0-9a-fA-F]{3}|"
                                  "[dD][0-7][0-9a-fA-F]{2}|[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F]"
                                  "[0-9a-fA-F]{2})))*\"";
static const char json_scalar[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null";
static const char json_space[] = "(\\n[ \\t]{0,20}| )?";

static status json_token(rules *r, const char *pattern, rule *out, error *err)
{
    lang l = LANG_NONE;
    status st = lang_regex(rules_langs(r), pattern, strlen(pattern), LANG_WHOLE, &l, err);
    if (!st)
        *out = rules_token(r, l);
    return st;
}

/* open, then element (space , space element)*, or nothing, then close. */
static rule json_list(rules *r, const char *open, rule element, rule space, const char *close)
{
    const rule more[] = { space, rules_text(r, ",", 1), space, element };
    const rule some[] = { space, element, rules_repeat(r, rules_seq(r, more, 4), 0, RULES_UNBOUNDED) };
    const rule all[] = { rules_text(r, open, 1), rules_optional(r, rules_seq(r, some, 3)), space,
                         rules_text(r, close, 1) };
    return rules_seq(r, all, 4);
}

status grammar_json_object(grammar **out, error *err)
{
    rules *r = NULL;
    rule string, scalar, space;
    status st = rules_open(&r, err);
    if (!st)
        st = json_token(r, json_string, &string, err);
    if (!st)
        st = json_token(r, json_scalar, &scalar, err);
    if (!st)
        st = json_token(r, json_space, &space, err);
    if (!st) {
        rule object = rules_declare(r, "object", 6), value = rules_declare(r, "value", 5);
        const rule member[] = { string, space, rules_text(r, ":", 1), space, value };
        const rule values[] = { string, scalar, object, json_list(r, "[", value, space, "]") };
        rules_define(r, value, rules_alt(r, values, 4));
        rules_define(r, object, json_list(r, "{", rules_seq(r, member, 5), space, "}"));
        st = rules_compile(&r, object, out, err);
    }
    rules_close(&r);
    return st;
}
