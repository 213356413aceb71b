/* link.h: URLs as index pages and people write them (RFC 3986, as far as http needs it). Any thread. */
#ifndef PULL_LINK_H
#define PULL_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/str.h"

enum { LINK_TEXT_MAX = 4096 };

/* The pieces of an absolute URL, borrowed from its text; each may be empty. */
typedef struct link_parts {
    span scheme;   /* "https" */
    span user;     /* "name:password" */
    span host;     /* with its port and an IPv6 address's brackets: "example.org:8443" */
    span path;     /* begins with / or is empty */
    span query;    /* without ? */
    span fragment; /* without # */
} link_parts;

/* http and https only; control characters and blanks are refused. False: not such an URL. */
bool link_split(const char *url, link_parts *out);

/* Where `ref` on the page `base` leads (section 5.2), with its fragment; user and password of base go along to the same
 * scheme and host only. Free with mem_free. E_FORMAT, E_NOMEM. */
status link_join(char **out, const char *base, const char *ref, error *err) MUST_CHECK;

/* The URL without user, password and fragment: what may be shown and written down; with_query: also keeps the query,
 * which may hold a key of its own. Free with mem_free. */
status link_public(char **out, const char *url, bool with_query, error *err) MUST_CHECK;

/* The last piece of the path, %xx decoded, if it is a safe file name (link_safe_name). E_FORMAT. */
status link_file_name(char **out, const char *url, error *err) MUST_CHECK;

/* A name that can be a file in a folder and no other: 1 to 200 bytes of UTF-8, no slash, backslash or control
 * character, no dot at the beginning. */
bool link_safe_name(const char *name);

/* "sha256=HEX" in a fragment. False: there is none; `hex` is then "". */
bool link_sha256(span fragment, char hex[65]);
/* 64 hexadecimal digits, written in lower case. */
bool link_hex64(span text, char hex[65]);

#endif
