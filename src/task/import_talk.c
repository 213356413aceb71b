/* import_talk.c: conversations to tasks.
 *
 * Conversations with the same roles and the same system text (but for white space and digits: dates) are one task. In
 * each message of such a group what all have in common at the beginning and at the end is the prompt, the rest a
 * variable: `input` in the last user message, else system, user_2, assistant_3 … by their place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/import_int.h"

enum { GROUPS_MAX = 4096, PREFIX_LEAST = 12, SUFFIX_LEAST = 8, ALIKE_LEAST = 3, TAGGED_MAX = 8 << 20 };

void talks_clear(talks *all)
{
    for (size_t i = 0; i < all->n; i++) {
        js_free(all->items[i].messages);
        js_free(all->items[i].answer);
    }
    mem_free(all->items);
    js_free(all->labels);
    js_free(all->sampling);
    *all = (talks){ 0 };
}

/* ---- adding ---- */

static const char *role_at(const js *messages, size_t i)
{
    return js_text(js_get(js_at(messages, i), "role"));
}

static const char *content_at(const js *messages, size_t i)
{
    return js_text(js_get(js_at(messages, i), "content"));
}

/* Runs of white space are a blank, runs of digits a 0. */
static void add_loosely(buf *out, const char *p)
{
    while (*p) {
        size_t blanks = strspn(p, " \t\r\n"), digits = strspn(p, "0123456789");
        if (blanks || digits)
            buf_char(out, blanks ? ' ' : '0');
        else
            buf_char(out, *p);
        p += blanks ? blanks : digits ? digits : 1;
    }
}

static status key_of(importer *im, talk *t)
{
    buf text = BUF_INIT(2 * IMPORT_LINE_BYTES_MAX);
    buf_str(&text, t->plain ? "plain" : "chat");
    for (size_t i = 0; i < js_len(t->messages); i++) {
        const char *role = role_at(t->messages, i);
        buf_printf(&text, "\n%s:", role);
        if (!strcmp(role, "system"))
            add_loosely(&text, content_at(t->messages, i));
    }
    status s = text.failed ? import_no_memory(im) : OK;
    if (!s)
        digest_of(text.data, text.len, t->key);
    buf_clear(&text);
    return s;
}

status talks_add(importer *im, talks *all, js *messages, js *answer, bool plain, bool unreviewed, int line)
{
    talk t = { .messages = messages, .answer = answer, .plain = plain, .unreviewed = unreviewed, .line = line };
    bool asks = false;
    for (size_t i = 0; i < js_len(messages); i++)
        asks = asks || !strcmp(role_at(messages, i), "user");
    status s = messages ? OK : import_no_memory(im);
    if (!s && !asks) {
        js_free(messages);
        js_free(answer);
        return import_note(im, line, 1, "no message is the user's");
    }
    if (!s)
        s = key_of(im, &t);
    if (!s && all->n == all->size) {
        size_t size = all->size ? 2 * all->size : 64;
        talk *more = mem_resize(all->items, size * sizeof *more);
        all->items = more ? more : all->items;
        all->size = more ? size : all->size;
        s = more ? OK : import_no_memory(im);
    }
    if (s) {
        js_free(messages);
        js_free(answer);
    } else {
        all->items[all->n++] = t;
    }
    return s;
}

/* ---- the constant parts ---- */

typedef struct group {
    const char *key;
    size_t n, first;
} group;

/* How one message of a group is written: what is before and after the variable; no variable: all have the same. */
typedef struct slot {
    size_t prefix, suffix;
    bool varies;
    char name[48];
} slot;

static bool usable(const char *p, size_t n)
{
    char *copy = mem_strndup(p, n);
    bool ok = copy && prompt_check(copy, NULL) == OK && !strstr(copy, "{{");
    mem_free(copy);
    return ok;
}

/* Cut back to the end of white space, so that no word is divided. */
static size_t whole_words(const char *p, size_t n)
{
    while (n && !memchr(" \n\t", p[n - 1], 3))
        n--;
    return n;
}

static size_t whole_words_behind(const char *p, size_t n) /* the last n bytes of p */
{
    const char *from = p + strlen(p) - n;
    while (n && !memchr(" \n\t", *from, 3)) {
        from++;
        n--;
    }
    return n;
}

/* What all texts of message i have in common. With fewer than three different ones nothing can be said. */
static void find_slot(const talks *all, const group *g, size_t i, slot *out)
{
    const char *first = NULL, *second = NULL;
    size_t prefix = 0, suffix = 0, shortest = SIZE_MAX, different = 0;
    for (size_t k = g->first; k < all->n; k++) {
        if (all->items[k].group != all->items[g->first].group)
            continue;
        const char *text = content_at(all->items[k].messages, i);
        size_t n = strlen(text), same = 0, behind = 0;
        if (!first) {
            first = text;
            prefix = suffix = shortest = n;
            different = 1;
            continue;
        }
        if (strcmp(text, first)) {
            different += !second || strcmp(text, second) ? 1 : 0;
            second = second ? second : text;
        }
        while (same < prefix && same < n && text[same] == first[same])
            same++;
        while (behind < suffix && behind < n && text[n - 1 - behind] == first[strlen(first) - 1 - behind])
            behind++;
        prefix = same;
        suffix = behind;
        shortest = n < shortest ? n : shortest;
    }
    out->varies = different > 1 || !usable(first, strlen(first));
    if (different < ALIKE_LEAST)
        prefix = suffix = 0;
    prefix = whole_words(first, prefix);
    suffix = whole_words_behind(first, suffix);
    if (prefix < PREFIX_LEAST || !usable(first, prefix))
        prefix = 0;
    if (suffix < SUFFIX_LEAST || prefix + suffix > shortest || !usable(first + strlen(first) - suffix, suffix))
        suffix = 0;
    out->prefix = prefix;
    out->suffix = suffix;
}

static void name_slot(const js *messages, size_t i, slot *out)
{
    const char *role = role_at(messages, i);
    size_t last_user = 0;
    for (size_t k = 0; k < js_len(messages); k++)
        last_user = strcmp(role_at(messages, k), "user") ? last_user : k;
    if (i == last_user)
        snprintf(out->name, sizeof out->name, "input");
    else if (i == 0)
        snprintf(out->name, sizeof out->name, "%.16s", role);
    else
        snprintf(out->name, sizeof out->name, "%.16s_%zu", role, i + 1);
    out->varies = out->varies || i == last_user;
}

static js *template_of(const char *text, const slot *s)
{
    buf b = BUF_INIT(IMPORT_LINE_BYTES_MAX);
    if (s->varies) {
        buf_add(&b, text, s->prefix);
        buf_printf(&b, "{{%s}}", s->name);
        buf_str(&b, text + strlen(text) - s->suffix);
    } else {
        buf_str(&b, text);
    }
    js *out = b.failed ? NULL : js_new_stringn(buf_text(&b), b.len);
    buf_clear(&b);
    return out;
}

static status set_prompt(importer *im, draft *d, const talk *t, const slot *slots)
{
    if (t->plain)
        return draft_set(im, d, "prompt", template_of(content_at(t->messages, 0), &slots[0]));
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < js_len(t->messages) && ok; i++)
        ok = js_push(list, talk_message(role_at(t->messages, i), template_of(content_at(t->messages, i), &slots[i])));
    if (!ok) {
        js_free(list);
        return import_no_memory(im);
    }
    return draft_set(im, d, "messages", list);
}

static js *middle(const char *text, const slot *s)
{
    return js_new_stringn(text + s->prefix, strlen(text) - s->prefix - s->suffix);
}

static status add_case(importer *im, draft *d, talk *t, const slot *slots)
{
    size_t n = js_len(t->messages), varying = 0;
    js *input = NULL, *tags = NULL;
    for (size_t i = 0; i < n; i++)
        varying += slots[i].varies;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        if (!slots[i].varies)
            continue;
        js *value = middle(content_at(t->messages, i), &slots[i]);
        if (varying == 1) { /* it is the one called input */
            input = value;
            continue;
        }
        input = input ? input : js_object();
        ok = input != NULL && js_set(input, slots[i].name, value);
    }
    if (ok && t->unreviewed && t->answer)
        ok = (tags = js_array()) && js_push(tags, js_new_string("unreviewed"));
    js *answer = t->answer;
    t->answer = NULL;
    if (ok && input)
        return draft_add(im, d, input, answer, tags, t->line);
    js_free(input);
    js_free(answer);
    js_free(tags);
    return import_no_memory(im);
}

static status finish_group(importer *im, talks *all, const group *g)
{
    const talk *t = &all->items[g->first];
    size_t n = js_len(t->messages), number = t->group;
    slot *slots = mem_array(n, sizeof *slots);
    draft d = { .unreviewed = t->unreviewed };
    status s = slots ? OK : import_no_memory(im);
    for (size_t i = 0; i < n && !s; i++) {
        find_slot(all, g, i, &slots[i]);
        name_slot(t->messages, i, &slots[i]);
    }
    if (!s)
        s = set_prompt(im, &d, t, slots);
    for (size_t k = g->first; k < all->n && !s; k++)
        if (all->items[k].group == number)
            s = add_case(im, &d, &all->items[k], slots);
    if (!s)
        s = draft_grade(im, &d, all->labels);
    if (!s && all->sampling) {
        js *sampling = js_copy(all->sampling);
        s = sampling ? draft_set(im, &d, "sampling", sampling) : import_no_memory(im);
    }
    if (!s)
        s = draft_finish(im, &d);
    draft_clear(&d);
    mem_free(slots);
    return s;
}

/* ---- groups ---- */

static int by_size(const void *a, const void *b)
{
    const group *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static status find_groups(importer *im, talks *all, group *groups, size_t *n)
{
    for (size_t i = 0; i < all->n; i++) {
        size_t k = 0;
        while (k < *n && strcmp(groups[k].key, all->items[i].key))
            k++;
        if (k == GROUPS_MAX)
            return fail(im->err, E_RANGE, "%s: more than %d different system prompts", im->name, GROUPS_MAX);
        if (k == *n)
            groups[(*n)++] = (group){ all->items[i].key, 0, i };
        groups[k].n++;
        all->items[i].group = k;
    }
    return OK;
}

status talks_finish(importer *im, talks *all)
{
    group *groups = mem_array(GROUPS_MAX, sizeof *groups);
    size_t n = 0;
    status s = groups ? find_groups(im, all, groups, &n) : import_no_memory(im);
    if (!s && n)
        qsort(groups, n, sizeof *groups, by_size);
    if (!s && im->o->system && (uint64_t)im->o->system > n)
        s = fail(im->err, E_RANGE, "%s: there are %zu different prompts, not %lld", im->name, n,
                 (long long)im->o->system);
    if (!s && !im->o->system && n > IMPORT_TASKS_MAX)
        s = fail(im->err, E_RANGE, "%s: %zu different system prompts would become as many tasks; the limit is %d. Take "
                 "one with --system N (1: the most frequent)", im->name, n, IMPORT_TASKS_MAX);
    for (size_t i = 0; i < n && !s; i++)
        if (!im->o->system || (uint64_t)im->o->system == i + 1)
            s = finish_group(im, all, &groups[i]);
    mem_free(groups);
    return s;
}
