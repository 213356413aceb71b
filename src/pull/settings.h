/* settings.h: where packages and models come from on this machine, as pip, uv and Hugging Face's tools are told: from
 * the environment and from pip's configuration files. Read once, before a sandbox closes those files. Any thread.
 *
 * The index: the first that is set of PIP_INDEX_URL, UV_DEFAULT_INDEX, UV_INDEX_URL, then `index-url` of pip's files
 * (PIP_CONFIG_FILE, $VIRTUAL_ENV/pip.conf, the user's, the machine's; sections install, download and global),
 * else https://pypi.org/simple. Further ones: PIP_EXTRA_INDEX_URL, UV_INDEX, UV_EXTRA_INDEX_URL, `extra-index-url`.
 * PIP_NO_INDEX and `no-index` switch all of them off.
 * The hub: HF_ENDPOINT, else https://huggingface.co; its token: HF_TOKEN, else the file that `hf auth login` writes. */
#ifndef PULL_SETTINGS_H
#define PULL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { PULL_INDEXES_MAX = 16, PULL_URL_MAX = 4096, PULL_TOKEN_MAX = 1024 };

typedef struct pull_settings {
    char *indexes[PULL_INDEXES_MAX]; /* no slash at the end; may hold user and password */
    size_t n_indexes;
    bool no_index;
    char *hub;                       /* "https://huggingface.co": no slash at the end */
    char *token;                     /* for the hub alone; NULL: none */
    char *cert;                      /* `cert` of pip's files: a CA bundle; NULL: not set */
} pull_settings;

/* E_FORMAT: a file or variable that is wrong; E_NOMEM. Files that are not there or closed to us are passed over. */
status pull_settings_read(pull_settings *out, error *err) MUST_CHECK;
void pull_settings_clear(pull_settings *s);

#endif
