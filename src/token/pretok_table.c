/* pretok_table.c: the pre-tokenisers, one row for each behaviour. The patterns are those of the models' own
 * tokenizer.json files; pretok.h explains the language. Order of rows does not matter; names are unique. */
#include "token/pretok.h"

/* 's 't 're 've 'm 'll 'd, in small letters only, and in either case. */
#define CONTRACTION "'s|'t|'re|'ve|'m|'ll|'d"
#define CONTRACTION_ANY "(?:'[sS\\u{17F}]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define SPACES "\\s+(?!\\S)|\\s+"

#define GPT2 CONTRACTION "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|" SPACES
#define TAIL " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|" SPACES
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
/* Letters that have case, as DeepSeek's first models list them. */
#define CASED                                                                                                          \
    "A-Za-z\\u{B5}\\u{C0}-\\u{D6}\\u{D8}-\\u{F6}\\u{F8}-\\u{1BA}\\u{1BC}-\\u{1BF}\\u{1C4}-\\u{293}"                    \
    "\\u{295}-\\u{2AF}\\u{370}-\\u{373}\\u{376}\\u{377}\\u{37B}-\\u{37D}\\u{37F}\\u{386}\\u{388}-\\u{38A}"             \
    "\\u{38C}\\u{38E}-\\u{3A1}\\u{3A3}-\\u{3F5}\\u{3F7}-\\u{481}\\u{48A}-\\u{52F}\\u{531}-\\u{556}"                    \
    "\\u{10A0}-\\u{10C5}\\u{13A0}-\\u{13F5}\\u{13F8}-\\u{13FD}\\u{1C90}-\\u{1CBA}\\u{1CBD}-\\u{1CBF}"                  \
    "\\u{1D00}-\\u{1D2B}\\u{1D6B}-\\u{1D77}\\u{1D79}-\\u{1D9A}\\u{1E00}-\\u{1F15}\\u{1F18}-\\u{1F1D}"                  \
    "\\u{1F20}-\\u{1F45}\\u{1F48}-\\u{1F4D}\\u{1F50}-\\u{1F57}\\u{1F59}\\u{1F5B}\\u{1F5D}"                             \
    "\\u{1F5F}-\\u{1F7D}\\u{1F80}-\\u{1FB4}\\u{1FB6}-\\u{1FBC}\\u{1FBE}\\u{1FC2}-\\u{1FC4}"                            \
    "\\u{1FC6}-\\u{1FCC}\\u{1FD0}-\\u{1FD3}\\u{1FD6}-\\u{1FDB}\\u{1FE0}-\\u{1FEC}\\u{1FF2}-\\u{1FF4}"                  \
    "\\u{1FF6}-\\u{1FFC}\\u{2102}\\u{2107}\\u{210A}-\\u{2113}\\u{2115}\\u{2119}-\\u{211D}\\u{2124}"                    \
    "\\u{2126}\\u{2128}\\u{212A}-\\u{212D}\\u{212F}-\\u{2134}\\u{2139}\\u{213C}-\\u{213F}"                             \
    "\\u{2145}-\\u{2149}\\u{214E}\\u{2183}\\u{2184}\\u{2C00}-\\u{2C7B}\\u{2C7E}-\\u{2CE4}"                             \
    "\\u{2CEB}-\\u{2CEE}\\u{2CF2}\\u{2CF3}\\u{A640}-\\u{A66D}\\u{A680}-\\u{A69B}\\u{A722}-\\u{A76F}"                   \
    "\\u{A771}-\\u{A787}\\u{A78B}-\\u{A78E}\\u{AB70}-\\u{ABBF}\\u{FB00}-\\u{FB06}\\u{FB13}-\\u{FB17}"                  \
    "\\u{FF21}-\\u{FF3A}\\u{FF41}-\\u{FF5A}\\u{10400}-\\u{1044F}\\u{104B0}-\\u{104D3}"                                 \
    "\\u{104D8}-\\u{104FB}\\u{10C80}-\\u{10CB2}\\u{10CC0}-\\u{10CF2}\\u{118A0}-\\u{118DF}"                             \
    "\\u{1E900}-\\u{1E943}"
#define DEEPSEEK_CJK "[\\u{4E00}-\\u{9FA5}\\u{800}-\\u{4E00}\\u{AC00}-\\u{D7FF}]+"
#define DEEPSEEK3                                                                                                      \
    "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"              \
    "\\s*[\\r\\n]+|" SPACES

const pretok_row pretok_table[] = {
    { "gpt-2 gpt2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert mpt olmo jais trillion "
      "granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
      { GPT2 }, 0 },
    { "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", { "\\p{N}", GPT2 }, 0 },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
      { CONTRACTION_ANY "|" WORD "|\\p{N}{1,3}|" TAIL }, PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS },
    { "dbrx smaug-bpe", { CONTRACTION_ANY "|" WORD "|\\p{N}{1,3}|" TAIL }, 0 },
    { "chatglm-bpe", { CONTRACTION_ANY "|" WORD "|\\p{N}{1,3}|" TAIL }, PRETOK_NO_BOS },
    { "glm4 glm5", { CONTRACTION_ANY "|" WORD "|\\p{N}{1,3}|" TAIL }, PRETOK_IGNORE_MERGES | PRETOK_NO_BOS },
    { "qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 hunyuan solar-open megrez grok-2",
      { CONTRACTION_ANY "|" WORD "|\\p{N}|" TAIL }, 0 },
    { "qwen35",
      { CONTRACTION_ANY "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
                        "\\s*[\\r\\n]+|" SPACES },
      0 },
    { "seed-coder",
      { CONTRACTION_ANY "|" WORD "|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|" SPACES }, 0 },
    { "tekken",
      { "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}|"
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|" SPACES },
      PRETOK_IGNORE_MERGES | PRETOK_ADD_BOS },
    { "gpt-4o llama4 kanana2 minimax-m2",
      { "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTION_ANY "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*"
        CONTRACTION_ANY "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|" SPACES },
      0 },
    { "falcon", { "[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]" }, 0 },
    { "deepseek-llm",
      { "[\\r\\n]", "\\s?[" CASED "]+",
        "\\s?[!-/:-~\\u{FF01}-\\u{FF0F}\\u{FF1A}-\\u{FF5E}\\u{2018}-\\u{201F}\\u{3000}-\\u{3002}]+", "\\s+$",
        DEEPSEEK_CJK, "\\p{N}+" },
      0 },
    { "deepseek-coder", { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, "\\p{N}" }, 0 },
    { "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
      { "\\p{N}{1,3}", "[\\u{4E00}-\\u{9FA5}\\u{3040}-\\u{309F}\\u{30A0}-\\u{30FF}]+", DEEPSEEK3 }, 0 },
    { "poro-chat bloom gpt3-finnish",
      { " ?[^(\\s|.,!?\\u{2026}\\u{3002}\\u{FF0C}\\u{3001}\\u{964}\\u{6D4}\\u{60C})]+" }, 0 },
    { "viking", { " ?[^(\\s|.,!?\\u{2026}\\u{3002}\\u{FF0C}\\u{3001}\\u{964}\\u{6D4}\\u{60C})]+", "\\p{N}" }, 0 },
    { "gemma4", { "[^\\n]+|\\n+" }, PRETOK_RAW | PRETOK_ADD_BOS },
    { "default", { "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" }, 0 },
};
const size_t pretok_table_rows = sizeof(pretok_table) / sizeof(pretok_table[0]);
