/* url.c: see the header. Strict on purpose: what is accepted here is what the allow-list of egress is made of. */
#include "provider/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

static bool is_loopback(const char *host)
{
    size_t n = strlen(host);
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0) ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n);
}

static bool port_parse(const char *p, size_t n, uint16_t *out)
{
    char text[8];
    uint64_t v;
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, p, n);
    text[n] = 0;
    if (strspn(text, "0123456789") != n || !str_u64(text, &v) || v == 0 || v > 65535)
        return false;
    *out = (uint16_t)v;
    return true;
}

status url_parse(const char *text, url *out, error *err)
{
    url u = { 0 };
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p > '~' || strchr("?#@\\\"<>", *p))
            return fail(err, E_FORMAT, "url: only http(s)://host[:port][/path], without user, query or fragment");
    u.tls = strncasecmp(text, "https://", 8) == 0;
    if (!u.tls && strncasecmp(text, "http://", 7) != 0)
        return fail(err, E_FORMAT, "url '%.200s': it must begin with https:// or http://", text);
    const char *host = text + (u.tls ? 8 : 7), *end = host + strcspn(host, "/");
    const char *colon = memchr(host, ':', (size_t)(end - host)), *host_end = colon ? colon : end;
    if (host[0] == '[') {
        const char *close = memchr(host, ']', (size_t)(end - host));
        if (!close || (close + 1 != end && close[1] != ':'))
            return fail(err, E_FORMAT, "url '%.200s': the IPv6 address is not closed", text);
        host++;
        host_end = close;
        colon = close + 1 < end ? close + 1 : NULL;
    }
    size_t n = (size_t)(host_end - host);
    u.port = u.tls ? 443 : 80;
    if (colon && !port_parse(colon + 1, (size_t)(end - colon - 1), &u.port))
        return fail(err, E_FORMAT, "url '%.200s': the port is not a number from 1 to 65535", text);
    if (n == 0 || n >= sizeof u.host)
        return fail(err, E_FORMAT, "url '%.200s': there is no host name", text);
    for (size_t i = 0; i < n; i++) {
        u.host[i] = (char)tolower((unsigned char)host[i]);
        if (!isalnum((unsigned char)u.host[i]) && !strchr(".-_:%", u.host[i]))
            return fail(err, E_FORMAT, "url '%.200s': a host name has letters, digits, dots and hyphens", text);
    }
    u.loopback = is_loopback(u.host);
    *out = u;
    return OK;
}
