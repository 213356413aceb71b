/* specials.c: which tokens begin, end and stop a text.
 *
 * The keys of the file come first. Many files say too little, so some roles are also found by the texts that models use
 * for them; such a token is a control token whatever type the file gives it. */
#include <ctype.h>
#include <stdio.h>

#include "gguf/gguf.h"
#include "token/vocab_int.h"

enum role { ROLE_EOT = 1, ROLE_EOG = 2, ROLE_CONTROL = 4, ROLE_TEXT = 8 };

/* In order of preference. EOT: ends a turn. EOG: generation ends here. CONTROL: fill-in-the-middle markers. TEXT: is to
 * be shown (user-defined), although files call it a control token. */
static const struct role_row {
    const char *text;
    unsigned roles;
} role_table[] = {
    { "<|eot_id|>", ROLE_EOT | ROLE_EOG },
    { "<|im_end|>", ROLE_EOT | ROLE_EOG },
    { "<|end|>", ROLE_EOT | ROLE_EOG },
    { "<end_of_turn>", ROLE_EOT | ROLE_EOG },
    { "<turn|>", ROLE_EOT | ROLE_EOG },
    { "<|endoftext|>", ROLE_EOT | ROLE_EOG },
    { "<|end_of_text|>", ROLE_EOT | ROLE_EOG },
    { "<EOT>", ROLE_EOT | ROLE_EOG },
    { "_<EOT>", ROLE_EOT | ROLE_EOG },
    { "[EOT]", ROLE_EOT | ROLE_EOG },
    { "<\xef\xbd\x9c" "end" SPACE_MARK "of" SPACE_MARK "sentence\xef\xbd\x9c>", ROLE_EOT | ROLE_EOG },
    { "<end_of_utterance>", ROLE_EOT | ROLE_EOG },
    { "<|eom_id|>", ROLE_EOG },
    { "<|return|>", ROLE_EOG },
    { "<|call|>", ROLE_EOG },
    { "<|calls|>", ROLE_EOG },
    { "<|flush|>", ROLE_EOG },
    { "[EOS]", ROLE_EOG },
    { "<eos>", ROLE_EOG },
    { "<|tool_response>", ROLE_EOG },
    { "[e~[", ROLE_EOG },
    { "</s>", ROLE_EOG },
    { "<|fim_pad|>", ROLE_EOG },
    { "<fim-pad>", ROLE_EOG },
    { "<fim_pad>", ROLE_EOG },
    { "<PAD>", ROLE_EOG },
    { "[PAD]", ROLE_EOG },
    { "<|fim_repo|>", ROLE_EOG },
    { "<|repo_name|>", ROLE_EOG },
    { "<fim-repo>", ROLE_EOG },
    { "<REPO>", ROLE_EOG },
    { "<reponame>", ROLE_EOG },
    { "<|file_sep|>", ROLE_EOG },
    { "<|fim_prefix|>", ROLE_CONTROL },
    { "<|fim_suffix|>", ROLE_CONTROL },
    { "<|fim_middle|>", ROLE_CONTROL },
    { "<|channel|>", ROLE_TEXT },
    { "<|message|>", ROLE_TEXT },
    { "<|start|>", ROLE_TEXT },
    { "<|constrain|>", ROLE_TEXT },
};

static int32_t find(const vocab *v, const char *text)
{
    return map_find(&v->by_text, &v->text, text, strlen(text));
}

static void apply_roles(vocab *v)
{
    /* With <|return|> or <|flush|> beside <|call|>, <|end|> ends a message and not the answer; and where
     * <|tool_response> stops, </s> is an ordinary word. */
    bool calls = find(v, "<|call|>") >= 0 || find(v, "<|calls|>") >= 0;
    bool end_is_text = calls && (find(v, "<|return|>") >= 0 || find(v, "<|flush|>") >= 0);
    bool s_is_text = find(v, "<|tool_response>") >= 0;
    for (size_t i = 0; i < ARRAY_LEN(role_table); i++) {
        const struct role_row *r = &role_table[i];
        int32_t id = find(v, r->text);
        if (id < 0 || (s_is_text && !strcmp(r->text, "</s>")))
            continue;
        if ((r->roles & ROLE_TEXT) || (end_is_text && !strcmp(r->text, "<|end|>"))) {
            v->type[id] = VOCAB_USER_DEFINED;
            continue;
        }
        v->type[id] = VOCAB_CONTROL;
        if ((r->roles & ROLE_EOT) && v->eot < 0)
            v->eot = id;
        if (r->roles & ROLE_EOG)
            v->eog[id] = 1;
    }
}

static bool name_contains(const gguf *file, const char *key, const char *const *needles, size_t n)
{
    span s;
    if (gguf_str_or(file, key, "", &s, NULL))
        return false;
    char name[256];
    size_t len = s.n < sizeof name - 1 ? s.n : sizeof name - 1;
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)s.p[i]);
    name[len] = 0;
    for (size_t i = 0; i < n; i++)
        if (strstr(name, needles[i]))
            return true;
    return false;
}

/* White space around some tokens belongs to them. Files do not say so; it goes by the model's name. */
static void apply_strip(vocab *v, const gguf *file)
{
    static const char *const jina[] = { "jina-v2-de", "jina-v2-es", "jina-v2-code" };
    static const char *const xlm[] = { "nomic-bert-moe", "jina-bert-v3" };
    static const char *const phi[] = { "phi-3", "phi3" };
    static const char *const modern[] = { "modern-bert" };
    int32_t id = -1;
    if (name_contains(file, "tokenizer.ggml.pre", jina, ARRAY_LEN(jina)) ||
        name_contains(file, "general.architecture", xlm, ARRAY_LEN(xlm)))
        id = find(v, "<mask>");
    else if (name_contains(file, "general.name", phi, ARRAY_LEN(phi))) {
        static const char *const keep[] = { "<unk>", "<s>", "<|endoftext|>" };
        for (int32_t i = 0; i < v->n_tokens; i++)
            if (v->type[i] == VOCAB_CONTROL || v->type[i] == VOCAB_UNKNOWN || v->type[i] == VOCAB_USER_DEFINED)
                v->strip[i] = STRIP_RIGHT;
        for (size_t i = 0; i < ARRAY_LEN(keep); i++)
            if (find(v, keep[i]) >= 0)
                v->strip[find(v, keep[i])] = 0;
    } else if (name_contains(file, "general.name", modern, ARRAY_LEN(modern)))
        id = find(v, "[MASK]");
    if (id >= 0)
        v->strip[id] = STRIP_LEFT;
}

static status read_id(const gguf *file, const char *key, int32_t n_tokens, int32_t *id, error *err)
{
    char full[80];
    snprintf(full, sizeof full, "tokenizer.ggml.%s_token_id", key);
    if (*id >= n_tokens)
        *id = -1; /* a default beyond this vocabulary */
    if (!gguf_find(file, full))
        return OK;
    uint32_t value;
    status st = gguf_u32(file, full, &value, err);
    if (st)
        return st;
    if (value >= (uint32_t)n_tokens && value != UINT32_MAX)
        return fail(err, E_FORMAT, "%s is %u, but there are %d tokens", full, value, n_tokens);
    *id = value == UINT32_MAX ? -1 : (int32_t)value;
    return OK;
}

status vocab_load_specials(vocab *v, const gguf *file, error *err)
{
    struct {
        const char *key;
        int32_t *id;
    } ids[] = { { "bos", &v->bos }, { "eos", &v->eos }, { "eot", &v->eot }, { "unknown", &v->unk },
                { "seperator", &v->sep }, { "padding", &v->pad }, { "cls", &v->cls } };
    struct {
        const char *key;
        bool *flag;
    } flags[] = { { "tokenizer.ggml.add_bos_token", &v->add_bos }, { "tokenizer.ggml.add_eos_token", &v->add_eos },
                  { "tokenizer.ggml.add_sep_token", &v->add_sep },
                  { "tokenizer.ggml.add_space_prefix", &v->add_space },
                  { "tokenizer.ggml.remove_extra_whitespaces", &v->merge_spaces } };
    v->cls = -1;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        status st = read_id(file, ids[i].key, v->n_tokens, ids[i].id, err);
        if (st)
            return st;
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        status st = gguf_bool_or(file, flags[i].key, *flags[i].flag, flags[i].flag, err);
        if (st)
            return st;
    }
    v->lowercase = true;
    status st = gguf_bool_or(file, "tokenizer.ggml.normalizer.lowercase", true, &v->lowercase, err);
    if (!st)
        st = gguf_bool_or(file, "tokenizer.ggml.normalizer.strip_accents", v->lowercase, &v->strip_accents, err);
    if (st)
        return st;
    if (v->kind == VOCAB_BPE && (v->row->flags & PRETOK_NO_BOS))
        v->bos = -1;
    if (v->kind == VOCAB_BPE && (v->row->flags & PRETOK_RAW))
        v->add_bos = true; /* some files deny it wrongly */
    if (v->kind == VOCAB_WORDPIECE) {
        v->add_bos = true;
        if (v->cls >= 0)
            v->bos = v->cls;
    }
    apply_roles(v);
    if (v->eos >= 0)
        v->eog[v->eos] = 1;
    if (v->eot >= 0)
        v->eog[v->eot] = 1;
    apply_strip(v, file);
    return OK;
}
