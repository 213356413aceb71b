/* sentencepiece.c: tokenizer.model, SentencePiece's own file, a protocol buffer:
 *
 *     1 pieces, one after the other: { 1 text, 2 score (f32), 3 type }
 *     2 how it was trained: { 3 kind: 1 unigram, 2 BPE ..., 40 the unknown token, 41 begin, 42 end, 43 padding }
 *     3 what is done to text before: { 2 rules, 3 a space before, 4 spaces made one, 5 spaces to U+2581 } */
#include <string.h>

#include "import/protobuf.h"
#include "import/vocab_int.h"

enum { KIND_UNIGRAM = 1, KIND_BPE = 2 };

static status read_piece(import_vocab *v, span message, uint32_t id, error *err)
{
    protobuf r = protobuf_of(message);
    protobuf_field f;
    span text = { "", 0 };
    uint64_t type = TOKEN_NORMAL;
    uint32_t bits = 0;
    float score;
    while (protobuf_next(&r, &f)) {
        if (f.number == 1 && f.wire == PROTOBUF_BYTES && f.bytes.p)
            text = f.bytes;
        else if (f.number == 2 && f.wire == PROTOBUF_32)
            bits = (uint32_t)f.value;
        else if (f.number == 3 && f.wire == PROTOBUF_VARINT)
            type = f.value;
    }
    memcpy(&score, &bits, sizeof score);
    if (r.bad || type < TOKEN_NORMAL || type > TOKEN_BYTE || !(score > -1e30f && score < 1e30f))
        return fail(err, E_FORMAT, "tokenizer.model: piece %u is damaged", id);
    status s = import_vocab_set(v, id, text, (int32_t)type, "tokenizer.model", err);
    if (!s)
        v->scores[id] = score;
    return s;
}

static status read_training(import_vocab *v, span message, error *err)
{
    static const struct {
        uint32_t number;
        import_role role;
        int32_t otherwise;
    } ids[] = { { 40, ROLE_UNK, 0 }, { 41, ROLE_BOS, 1 }, { 42, ROLE_EOS, 2 }, { 43, ROLE_PAD, -1 } };
    protobuf r = protobuf_of(message);
    protobuf_field f;
    uint64_t kind = KIND_UNIGRAM;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        v->role[ids[i].role] = ids[i].otherwise < (int64_t)v->n ? ids[i].otherwise : -1;
    while (protobuf_next(&r, &f)) {
        kind = f.number == 3 && f.wire == PROTOBUF_VARINT ? f.value : kind;
        for (size_t i = 0; i < ARRAY_LEN(ids); i++)
            if (f.number == ids[i].number && f.wire == PROTOBUF_VARINT)
                v->role[ids[i].role] = f.value < v->n ? (int32_t)f.value : -1;
    }
    if (r.bad)
        return fail(err, E_FORMAT, "tokenizer.model: what it says of its training is damaged");
    if (kind != KIND_BPE)
        return fail(err, E_UNSUPPORTED, "tokenizer.model: a vocabulary of kind %llu; BPE (2) is read",
                    (unsigned long long)kind);
    return OK;
}

static status read_normaliser(import_vocab *v, span message, error *err)
{
    protobuf r = protobuf_of(message);
    protobuf_field f;
    bool rules = false, merges_spaces = true, marks = true;
    v->add_space = SAID_YES;
    while (protobuf_next(&r, &f)) {
        rules |= f.number == 2 && f.bytes.n > 0;
        if (f.number == 3)
            v->add_space = f.value ? SAID_YES : SAID_NO;
        if (f.number == 4)
            merges_spaces = f.value != 0;
        if (f.number == 5)
            marks = f.value != 0;
    }
    if (r.bad)
        return fail(err, E_FORMAT, "tokenizer.model: its normaliser is damaged");
    if (rules || merges_spaces || !marks)
        return fail(err, E_UNSUPPORTED, "tokenizer.model: it changes text before it cuts it (%s), which is not done",
                    rules ? "by rules of its own" : merges_spaces ? "many spaces become one" : "spaces stay");
    return OK;
}

status import_sentencepiece(import_vocab *v, span file, error *err)
{
    protobuf r = protobuf_of(file);
    protobuf_field f;
    span training = { "", 0 }, normaliser = { "", 0 };
    uint32_t n = 0;
    status s = OK;
    v->model = "llama";
    v->pre = "default";
    while (!s && protobuf_next(&r, &f)) {
        if (f.wire != PROTOBUF_BYTES)
            continue;
        if (f.number == 1)
            s = read_piece(v, f.bytes, n++, err);
        else if (f.number == 2)
            training = f.bytes;
        else if (f.number == 3)
            normaliser = f.bytes;
    }
    if (!s && (r.bad || !n))
        s = fail(err, E_FORMAT, "tokenizer.model: not a file of SentencePiece, or cut off");
    if (!s)
        s = read_training(v, training, err);
    return s ? s : read_normaliser(v, normaliser, err);
}
