/* guard.c: who may ask. A page of another site can make a browser send requests to loopback: either under that site's
 * name (Origin), or, by DNS rebinding, with that site's name as Host. Neither gets an answer. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "http/http_int.h"

/* The host part of "host", "host:port", "[v6]:port". */
static span host_part(const char *s)
{
    if (*s == '[') {
        const char *end = strchr(s, ']');
        return end ? (span){ s + 1, (size_t)(end - s) - 1 } : (span){ s, 0 };
    }
    const char *colon = strchr(s, ':');
    if (colon && strchr(colon + 1, ':'))
        colon = NULL; /* a bare IPv6 address */
    return (span){ s, colon ? (size_t)(colon - s) : strlen(s) };
}

static bool same_name(span a, const char *b)
{
    return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

static bool is_loopback(span host)
{
    if (same_name(host, "localhost") || same_name(host, "::1"))
        return true;
    if (host.n < 9 || strncmp(host.p, "127.", 4) != 0)
        return false;
    for (size_t i = 4; i < host.n; i++) {
        if (!strchr("0123456789.", host.p[i]))
            return false; /* 127.0.0.1.example.com is somebody's name */
    }
    return true;
}

bool http_is_loopback_name(const char *name)
{
    return is_loopback(host_part(name));
}

/* The host of "http://host:port"; "null" (a sandboxed page) and foreign schemes have none. */
static span origin_host(const char *origin)
{
    if (str_starts(origin, "http://"))
        return host_part(origin + 7);
    if (str_starts(origin, "https://"))
        return host_part(origin + 8);
    return (span){ origin, 0 };
}

/* An address that listens for other machines is reached under names that we cannot know; there a key is required, so
 * only pages of other origins are refused: Origin must repeat Host. */
const char *http_guard(const http_server *s, const char *host, const char *origin)
{
    bool local = http_is_loopback_name(s->host);
    if (local && (!host || !is_loopback(host_part(host))))
        return "this server answers only to localhost: the Host header names something else";
    if (!origin)
        return NULL;
    span from = origin_host(origin);
    if (local ? is_loopback(from) : host && from.n && from.n == host_part(host).n &&
                                        strncasecmp(from.p, host_part(host).p, from.n) == 0)
        return NULL;
    return "requests from pages of other sites are refused (Origin)";
}
