/* config_int.h: what the readers of config.yaml's parts share. */
#ifndef PROVIDER_CONFIG_INT_H
#define PROVIDER_CONFIG_INT_H

#include "base/yaml.h"
#include "provider/config.h"

typedef struct config_reader {
    const yaml_file *f;
    config *c;
    error *err;
} config_reader;

/* All of them: a node that is NULL leaves *out as it is. Texts are copied into the config's arena. */
status config_text(config_reader *r, const yaml *node, const char **out) MUST_CHECK;
status config_class(config_reader *r, const yaml *node, privacy_class *out) MUST_CHECK;
/* The member "name" of map, which must be there. */
status config_name(config_reader *r, const yaml *map, const char **out) MUST_CHECK;
/* The member of map, a whole number from low to high. */
status config_count(config_reader *r, const yaml *map, const char *name, int64_t low, int64_t high,
                    uint32_t *out) MUST_CHECK;
/* A list at root's member `key`, as memory for as many entries of `size` bytes; *first is NULL when there is none. */
status config_list(config_reader *r, const yaml *root, const char *key, size_t max, size_t size, const yaml **first,
                   void *out) MUST_CHECK;

/* config_provider.c: an entry of `providers`. */
status config_provider_of(config_reader *r, const yaml *map, config_provider *p) MUST_CHECK;

/* config_price.c: a provider's price, a budget, machine, and the table beside the file. */
status config_price_of(config_reader *r, const yaml *node, config_provider *p) MUST_CHECK;
status config_budget_of(config_reader *r, const yaml *node, config_budget *out) MUST_CHECK;
status config_machine_of(config_reader *r, const yaml *node) MUST_CHECK;
status config_prices(config_reader *r, const yaml *root) MUST_CHECK;

/* config_privacy.c */
status config_privacy_of(config_reader *r, const yaml *node, const char *path) MUST_CHECK;

/* config_serve.c: listen, tls, plaintext, origins, limits, snapshots, keys. default_class was read before. */
status config_serve(config_reader *r, const yaml *root) MUST_CHECK;

#endif
