/* layout_int.h: how each weight type lies in a panel (docs/NUMERICS.md, "Panels"), as data. Private to kernels/. */
#ifndef KERNELS_LAYOUT_INT_H
#define KERNELS_LAYOUT_INT_H

#include "kernels/kernels.h"
#include "base/status.h"
#include "quant/quant.h"

#define ROWS KERNELS_PANEL_ROWS

typedef struct scale_field {
    uint8_t at;    /* offset in the block of the file */
    uint8_t width; /* bytes of one element: 2 (f16, u16) or 1 */
    uint8_t count; /* elements; element e of row r goes to [e][r] */
} scale_field;

typedef struct layout {
    enum kernels_act act;
    uint16_t block;       /* values of a block: 32 or 256; 1 for float types */
    uint16_t file_bytes;  /* bytes of a block in the file (one row) */
    uint8_t low, high;    /* bits of the first and the second plane: 4+0, 4+1, 4+2, 2+0, 2+1, 8+0; 0: float type */
    uint16_t code_bytes;  /* of 16 rows of a block */
    uint16_t scale_bytes; /* of 16 rows of a block */
    scale_field fields[4];
} layout;

/* NULL: not supported. */
const layout *layout_of(int type);

#endif
