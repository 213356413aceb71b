/* protobuf.c: a field is a varint (number << 3 | wire), then its value. */
#include "import/protobuf.h"

protobuf protobuf_of(span bytes)
{
    static const unsigned char none[1];
    const unsigned char *p = bytes.p ? (const unsigned char *)bytes.p : none;
    return (protobuf){ .p = p, .end = p + bytes.n };
}

bool protobuf_varint(protobuf *r, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        unsigned char c = *r->p++;
        v |= (uint64_t)(c & 127) << shift;
        if (c < 128) {
            *out = v;
            return true;
        }
    }
    r->bad = true;
    return false;
}

static bool fixed(protobuf *r, size_t n, uint64_t *out)
{
    if ((size_t)(r->end - r->p) < n) {
        r->bad = true;
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)r->p[i] << (8 * i);
    r->p += n;
    return true;
}

bool protobuf_next(protobuf *r, protobuf_field *f)
{
    uint64_t tag, n;
    if (r->bad || r->p == r->end || !protobuf_varint(r, &tag))
        return false;
    *f = (protobuf_field){ .number = (uint32_t)(tag >> 3), .wire = (protobuf_wire)(tag & 7) };
    switch (f->wire) {
    case PROTOBUF_VARINT: return protobuf_varint(r, &f->value);
    case PROTOBUF_64: return fixed(r, 8, &f->value);
    case PROTOBUF_32: return fixed(r, 4, &f->value);
    case PROTOBUF_BYTES:
        if (!protobuf_varint(r, &n) || n > (uint64_t)(r->end - r->p))
            break;
        f->bytes = (span){ (const char *)r->p, (size_t)n };
        r->p += n;
        return true;
    }
    r->bad = true;
    return false;
}
