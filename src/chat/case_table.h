/* case_table.h: private to chars.c. */
#ifndef CHAT_CASE_TABLE_H
#define CHAT_CASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct case_row {
    uint32_t c, upper[3], title[3]; /* unused places are 0 */
} case_row;

extern const case_row case_table[];
extern const size_t case_rows;

#endif
