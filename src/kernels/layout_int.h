/* layout_int.h: how each weight type lies in a panel (docs/NUMERICS.md, "Panels"), as data. Private to kernels/. */
#ifndef KERNELS_LAYOUT_INT_H
#define KERNELS_LAYOUT_INT_H

#include "kernels/kernels.h"
#include "base/status.h"
#include "quant/quant.h"

#define ROWS KERNELS_PANEL_ROWS
#define INLINE static inline __attribute__((always_inline))
/* Over the loop that follows: its bounds are constants once everything is inlined, and -O2 would keep it a loop. */
#define UNROLL _Pragma("GCC unroll 8")

typedef struct scale_field {
    uint8_t at;    /* offset in the block of the file */
    uint8_t width; /* bytes of one element: 2 (f16, u16) or 1 */
    uint8_t count; /* elements; element e of row r goes to [e][r] */
} scale_field;

/* How the bits of a plane lie in a block of the file: where those of 32-value sub-block i begin. */
enum order {
    WORDS, /* the panel's own: 16 bytes of nibbles (value j low, j + 16 high), or 32 whole bytes */
    PAIRS, /* 32 bytes of nibbles for sub-blocks i (low) and i + 1 (high) */
    FOURS, /* 32 bytes of two bits for sub-blocks i .. i + 3 */
    SIXES, /* nibbles of Q6_K: 64 bytes for four sub-blocks, i and i + 1 in the low ones, i + 2 and i + 3 in the high */
    MASK,  /* 32 bytes, bit i */
    BITS,  /* one 32-bit number, bit j for value j */
};

typedef struct code_plane {
    uint8_t bits; /* 8, 4, 2 or 1; 0: there is none */
    uint8_t at;   /* offset in the block of the file */
    uint8_t order;
} code_plane;

typedef struct layout {
    enum kernels_act act;
    uint16_t block;       /* values of a block: 32 or 256; 1 for float types */
    uint16_t file_bytes;  /* bytes of a block in the file (one row) */
    code_plane low, high;      /* the lower bits of the codes and the bits above them; no low plane: float type */
    uint16_t code_bytes;  /* of 16 rows of a block */
    uint16_t scale_bytes; /* of 16 rows of a block */
    scale_field fields[4];
} layout;

/* NULL: not supported. */
const layout *layout_of(int type);

#endif
