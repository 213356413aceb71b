/* tables.h: the columns of every table, as data: what exchange.h's functions have in common. */
#ifndef LEDGER_TABLES_H
#define LEDGER_TABLES_H

#include "base/buf.h"
#include "ledger/ledger_int.h"

/* What a column may hold; import checks it. */
typedef enum column_kind {
    COLUMN_ID,      /* a UUID */
    COLUMN_DIGEST,  /* 64 hex digits */
    COLUMN_STORED,  /* a digest, or "": not stored */
    COLUMN_OTHER,   /* an id of another row, or NULL */
    COLUMN_WORD,    /* a text of at most WORD_BYTES_MAX */
    COLUMN_BODY,    /* a text of at most BODY_BYTES_MAX */
    COLUMN_TIME,    /* microseconds of a date until 9999 */
    COLUMN_COUNT,   /* a whole number; -1: not known */
    COLUMN_VALUE,   /* a number */
    COLUMN_UNSURE,  /* a number or NULL: not known */
} column_kind;
enum { WORD_BYTES_MAX = 1 << 20, BODY_BYTES_MAX = 16 << 20, COLUMNS_MAX = 18 };

typedef struct table_column {
    const char *name;
    column_kind kind;
} table_column;

typedef struct table {
    const char *name;
    const char *part; /* which rows a part holds: SQL after WHERE, over the names of table_part */
    bool by_content;  /* the id is the digest of the row: the one that is there says the same */
    size_t n;
    table_column columns[COLUMNS_MAX]; /* the first is the key */
} table;

#define LEDGER_FILE_NAME "hearth-ledger" /* the table of an exported file's first line */
/* All but policy: what an installation is told is its own, and no file brings it another. */
enum { TABLES = 12 };
extern const table table_all[TABLES]; /* every row comes after those that it refers to */

const table *table_find(const char *name);
/* "id, at_us, …" */
void table_columns(const table *t, buf *sql);
/* A row of SELECT <columns>: {"table":"NAME","id":…}. */
void table_write_row(const table *t, sqlite3_stmt *st, buf *out);

/* WITH r AS (the part's runs), a AS (their answers), l AS (labels), d AS (decisions), h AS (shadows): begins
 * each statement over a part; its arguments ?1, ?2 are the task ("" for all) and since_us. */
extern const char table_part[];

#endif
