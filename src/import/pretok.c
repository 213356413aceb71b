/* pretok.c: which pre-tokeniser tokenizer.json describes. There it is a list of steps, each a pattern that cuts the
 * text; in a GGUF file it is a name, tokenizer.ggml.pre, for all of them together. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "import/vocab_int.h"

#define CONTRACTION "'s|'t|'re|'ve|'m|'ll|'d"
#define CONTRACTION_ANY "(?i:" CONTRACTION ")"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define WORD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define GPT2 CONTRACTION "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end, digits)                                                                                             \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" end "|" digits      \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define DIGIT "\\p{N}"

/* Whether a word that is a token is that token, whatever its merges say. */
typedef enum whole { WHOLE_NO, WHOLE_YES, WHOLE_EITHER } whole;

/* Steps, one after the other with line ends between them. */
static const struct {
    const char *steps, *name;
    whole whole;
} known[] = {
    { GPT2, "gpt-2", WHOLE_NO },
    { DIGIT "\n" GPT2, "smollm", WHOLE_NO },
    { CONTRACTION_ANY WORD "\\p{N}{1,3}" TAIL, "llama-bpe", WHOLE_YES },
    { CONTRACTION_ANY WORD "\\p{N}{1,3}" TAIL, "dbrx", WHOLE_NO },
    { CONTRACTION_ANY WORD DIGIT TAIL, "qwen2", WHOLE_NO },
    { CONTRACTION_ANY "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES,
      "qwen35", WHOLE_NO },
    { CONTRACTION_ANY WORD "\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES, "seed-coder", WHOLE_NO },
    /* All its tokens are what their own bytes merge to: files differ in what they say, not in what comes out. */
    { CASED("", DIGIT), "tekken", WHOLE_EITHER },
    { CASED(CONTRACTION_ANY "?", "\\p{N}{1,3}"), "gpt-4o", WHOLE_NO },
};

/* A split that keeps all of the text: pieces between matches stay, or there are none. */
static const char *split_pattern(const js *step)
{
    const char *behaviour = js_text(js_get(step, "behavior"));
    bool invert = js_bool(js_get(step, "invert"), false);
    const char *pattern = js_text(js_get(js_get(step, "pattern"), "Regex"));
    bool isolated = behaviour && strcmp(behaviour, "Isolated") == 0 && !invert;
    bool matches = behaviour && strcmp(behaviour, "Removed") == 0 && invert;
    return isolated || matches ? pattern : NULL;
}

/* What a step cuts by: "" nothing; NULL: it is not known. */
static const char *step_pattern(const js *step)
{
    const char *type = import_step_type(step);
    if (strcmp(type, "Split") == 0)
        return split_pattern(step);
    if (strcmp(type, "Digits") == 0)
        return js_bool(js_get(step, "individual_digits"), false) ? DIGIT : "\\p{N}+";
    if (strcmp(type, "ByteLevel") == 0 && !js_bool(js_get(step, "add_prefix_space"), true))
        return js_bool(js_get(step, "use_regex"), true) ? GPT2 : "";
    return NULL;
}

static status unknown(const js *part, error *err)
{
    buf text = BUF_INIT(1 << 20);
    js_write(part, JS_COMPACT, &text);
    status s = fail(err, E_UNSUPPORTED, "tokenizer.json: the pre-tokeniser is not one that hearth knows: %.500s",
                    buf_text(&text));
    buf_clear(&text);
    return s;
}

status import_pretok(const char **out, const js *json, error *err)
{
    const js *part = js_get(json, "pre_tokenizer"), *step;
    bool ignores = js_bool(js_get(js_get(json, "model"), "ignore_merges"), false), bytes = false;
    buf steps = BUF_INIT(1 << 16);
    for (size_t i = 0; (step = import_step(part, "pretokenizers", i)) != NULL; i++) {
        const char *pattern = step_pattern(step);
        bytes = import_is_text(step, "type", "ByteLevel", false);
        if (!pattern) {
            buf_clear(&steps);
            return unknown(part, err);
        }
        if (*pattern)
            buf_printf(&steps, "%s%s", steps.len ? "\n" : "", pattern);
    }
    const char *name = NULL;
    for (size_t i = 0; bytes && i < ARRAY_LEN(known); i++)
        if (strcmp(buf_text(&steps), known[i].steps) == 0 &&
            (known[i].whole == WHOLE_EITHER || ignores == (known[i].whole == WHOLE_YES)))
            name = known[i].name;
    status s = buf_ok(&steps, "tokenizer.json: pre_tokenizer", err);
    buf_clear(&steps);
    if (!s && !name)
        return unknown(part, err);
    if (!s)
        *out = name;
    return s;
}
