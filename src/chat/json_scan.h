/* json_scan.h: is this still the beginning of one JSON value? Byte by byte, without a tree (private to chat/).
 *
 * RFC 8259 strictly, but that control characters stand in strings as they are (models write raw line ends):
 * SCAN_CONTROL says that this byte must be written as an escape for the text to be JSON. Escapes of lone surrogates are
 * refused. Duplicate keys are not looked for. Start with {0}. Owner thread. */
#ifndef CHAT_JSON_SCAN_H
#define CHAT_JSON_SCAN_H

#include <stdint.h>

typedef enum scan_result {
    SCAN_MORE,    /* the byte belongs to the value, which goes on */
    SCAN_CONTROL, /* likewise: a control character within a string */
    SCAN_END,     /* the byte is the value's last */
    SCAN_AFTER,   /* the value (a number) ended before this byte */
    SCAN_BAD,     /* this byte cannot stand here; the scan is over */
} scan_result;

enum { SCAN_DEPTH_MAX = 60 }; /* so that it nests in a few levels more and js_parse still reads it */

typedef struct json_scan {
    uint8_t state;
    uint8_t depth;
    uint8_t in_key;
    uint8_t hex_left;
    uint16_t hex;
    uint8_t low_expected; /* a high surrogate was escaped */
    uint8_t at;           /* within true, false, null */
    const char *word;
    uint64_t objects;     /* bit d: level d + 1 is an object, not an array */
} json_scan;

scan_result json_scan_byte(json_scan *s, char c);

#endif
