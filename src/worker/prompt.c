/* prompt.c: a prompt's tokens with their bytes. A long prompt does not fit one message. */
#include "token/vocab.h"
#include "worker/worker_int.h"

enum { PART_BYTES = 1 << 20 }; /* of a message, about */

js *worker_hex(span bytes)
{
    static const char digits[] = "0123456789abcdef";
    buf hex = BUF_INIT(6 * (size_t)VOCAB_MAX_TOKEN_BYTES + 64);
    for (size_t i = 0; i < bytes.n; i++) {
        buf_char(&hex, digits[(unsigned char)bytes.p[i] >> 4]);
        buf_char(&hex, digits[(unsigned char)bytes.p[i] & 15]);
    }
    js *text = hex.failed ? NULL : js_new_string(buf_text(&hex));
    buf_clear(&hex);
    return text;
}

typedef struct part {
    js *ids, *pieces;
    size_t bytes;
} part;

static void begin_part(part *p)
{
    *p = (part){ js_array(), js_array(), 0 };
}

static void send_part(worker *w, uint32_t request, part *p)
{
    js *j = js_object();
    js_set(j, "ids", p->ids);
    js_set(j, "pieces", p->pieces);
    worker_send(w, MSG_PROMPT, request, j);
}

/* What the decoder writes at this token; at the last also what it held back. */
static span decode(vocab_decoder *d, int32_t id, bool last, buf *text)
{
    buf_reset(text);
    vocab_decode(d, id, text);
    if (last)
        vocab_decode_end(d, text);
    return (span){ buf_text(text), text->len };
}

void worker_send_prompt(worker *w, uint32_t request, const token_list *prompt, bool decoded)
{
    const vocab *v = engine_vocab(w->engine);
    vocab_decoder d;
    buf text = BUF_INIT(3 * (size_t)VOCAB_MAX_TOKEN_BYTES + 32);
    part p;
    vocab_decoder_init(&d, v, true, true);
    begin_part(&p);
    for (size_t i = 0; i < prompt->n && !w->over; i++) {
        int32_t id = prompt->ids[i];
        span piece = decoded ? decode(&d, id, i + 1 == prompt->n, &text) : vocab_piece(v, id);
        if (p.bytes >= PART_BYTES) {
            send_part(w, request, &p);
            begin_part(&p);
        }
        js_push(p.ids, js_new_int(id));
        js_push(p.pieces, worker_hex(piece));
        p.bytes += 2 * piece.n + 16;
    }
    send_part(w, request, &p);
    buf_clear(&text);
}
