/* protobuf.h: the wire format of protocol buffers, read field by field over bytes. Nothing is copied or allocated, and
 * nothing is read outside the bytes. Any thread. */
#ifndef IMPORT_PROTOBUF_H
#define IMPORT_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef struct protobuf {
    const unsigned char *p, *end;
    bool bad; /* the bytes are no fields */
} protobuf;

typedef enum protobuf_wire { PROTOBUF_VARINT = 0, PROTOBUF_64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_32 = 5 } protobuf_wire;

typedef struct protobuf_field {
    uint32_t number;
    protobuf_wire wire;
    uint64_t value; /* of numbers */
    span bytes;     /* PROTOBUF_BYTES: text, a message, packed numbers */
} protobuf_field;

protobuf protobuf_of(span bytes);
/* The next field; false at the end, and when the rest is not well formed (bad). Groups are not known. */
bool protobuf_next(protobuf *r, protobuf_field *f);
/* A varint by itself: for packed numbers. */
bool protobuf_varint(protobuf *r, uint64_t *out);

#endif
