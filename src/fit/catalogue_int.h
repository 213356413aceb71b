/* catalogue_int.h: what the parts of the catalogue share. Private to src/fit/catalogue*.c. */
#ifndef FIT_CATALOGUE_INT_H
#define FIT_CATALOGUE_INT_H

#include "base/mem.h"
#include "base/yaml.h"
#include "fit/catalogue.h"

struct catalogue {
    yaml_file *models_file, *losses_file; /* own the texts of the entries */
    arena memory;                         /* lists of texts */
    catalogue_model *models;
    size_t n_models;
    catalogue_loss_row *losses;
    size_t n_losses;
};

typedef struct catalogue_reader {
    const yaml_file *f;
    arena *memory;
    error *err;
} catalogue_reader;

/* What a text has to look like. */
typedef enum catalogue_form_id {
    FORM_TEXT,
    FORM_NAME,
    FORM_TYPE,
    FORM_MONTH,
    FORM_PAGE,
    FORM_SOURCE
} catalogue_form_id;
typedef struct catalogue_form {
    bool (*is)(const char *text);
    const char *what;
} catalogue_form;
extern const catalogue_form catalogue_forms[];

/* A text of a map that goes to the const char * at this offset. */
typedef struct catalogue_field {
    const char *key;
    size_t at;
    catalogue_form_id form;
    bool needed;
} catalogue_field;

/* key: what errors call the node. */
status catalogue_text(const catalogue_reader *r, const char *key, const yaml *node, catalogue_form_id form,
                      const char **out) MUST_CHECK;
status catalogue_texts(const catalogue_reader *r, const yaml *map, const catalogue_field *fields, size_t n, void *to)
    MUST_CHECK;
status catalogue_params(const catalogue_reader *r, const yaml *node, double *out) MUST_CHECK;
/* The list under `key` of a file that holds this and its version alone. */
status catalogue_list(const catalogue_reader *r, const char *key, size_t most, const yaml **out, size_t *n) MUST_CHECK;
/* Puts the entry's name, or its number, before the sentence in err. */
status catalogue_entry_failed(const yaml *entry, size_t i, status s, error *err);

/* catalogue_loss.c: c->losses from c->losses_file. */
status catalogue_read_losses(catalogue *c, error *err) MUST_CHECK;

#endif
