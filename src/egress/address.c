/* address.c: see the header. */
#include "egress/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/status.h"

typedef struct range4 {
    uint32_t base; /* host order */
    unsigned bits;
} range4;

static const range4 special4[] = {
    { 0x00000000, 8 },  /* this network */
    { 0x0a000000, 8 },  /* private */
    { 0x64400000, 10 }, /* shared by customers of a provider */
    { 0x7f000000, 8 },  /* loopback */
    { 0xa9fe0000, 16 }, /* link-local, and the metadata servers of clouds */
    { 0xac100000, 12 }, /* private */
    { 0xc0000000, 24 }, /* protocol assignments */
    { 0xc0000200, 24 }, /* documentation */
    { 0xc0a80000, 16 }, /* private */
    { 0xc6120000, 15 }, /* benchmarks */
    { 0xc6336400, 24 }, /* documentation */
    { 0xcb007100, 24 }, /* documentation */
    { 0xe0000000, 3 },  /* multicast and reserved */
};

static bool is_public4(uint32_t a)
{
    for (size_t i = 0; i < ARRAY_LEN(special4); i++)
        if ((a ^ special4[i].base) >> (32 - special4[i].bits) == 0)
            return false;
    return true;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* 2000::/3 without documentation, tunnels, protocol assignments; an IPv4 address within it is looked at as such. */
static bool is_public6(const unsigned char *a)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(a, mapped, sizeof mapped) == 0 || memcmp(a, nat64, sizeof nat64) == 0)
        return is_public4(big_endian(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
        return is_public4(big_endian(a + 2));
    bool assignments = a[0] == 0x20 && a[1] == 0x01 && a[2] < 0x02; /* 2001::/23, Teredo among them */
    bool documentation = a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8;
    return a[0] >> 5 == 1 && !assignments && !documentation;
}

bool address_is_public(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof in);
        return is_public4(ntohl(in.sin_addr.s_addr));
    }
    if (a->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, a, sizeof in6);
    return is_public6(in6.sin6_addr.s6_addr);
}

static uint16_t port_in(const struct sockaddr *a)
{
    struct sockaddr_in in = { 0 };
    struct sockaddr_in6 in6 = { 0 };
    if (a->sa_family == AF_INET)
        memcpy(&in, a, sizeof in);
    else if (a->sa_family == AF_INET6)
        memcpy(&in6, a, sizeof in6);
    return ntohs(a->sa_family == AF_INET ? in.sin_port : in6.sin6_port);
}

static bool is_named(const char *host)
{
    static const char local[] = ".localhost";
    unsigned char room[16];
    size_t n = strlen(host), k = sizeof local - 1;
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1 ||
           strcasecmp(host, local + 1) == 0 || (n > k && strcasecmp(host + n - k, local) == 0);
}

address_rule address_rule_of(const char *url, bool on_premises)
{
    address_rule r = { .on_premises = on_premises, .tls = strncasecmp(url, "https", 5) == 0 };
    char host[256] = "";
    const char *at = strstr(url, "://");
    if (!at)
        return r;
    at += 3;
    const char *end = at + strcspn(at, "/"), *colon = NULL;
    for (const char *p = at; p < end; p++)
        colon = *p == ':' ? p : *p == ']' ? NULL : colon;
    long port = colon ? strtol(colon + 1, NULL, 10) : r.tls ? 443 : 80;
    r.port = port > 0 && port < 65536 ? (uint16_t)port : 0;
    const char *last = colon ? colon : end;
    if (*at == '[' && last > at + 1) {
        at++;
        last--;
    }
    if ((size_t)(last - at) < sizeof host)
        memcpy(host, at, (size_t)(last - at));
    r.named = is_named(host);
    return r;
}

const char *address_refusal(const address_rule *rule, const struct sockaddr *to)
{
    if (port_in(to) != rule->port)
        return "would be asked on another port than the url's";
    if (rule->named)
        return NULL;
    if (!rule->on_premises && !address_is_public(to))
        return "is a name that means an address of this machine or a private network now: if it is your own server, "
               "say place: on-premises, or write the address into the url";
    if (rule->on_premises && !rule->tls && address_is_public(to))
        return "is a name that means a public address now, and http:// would send everything there in clear text";
    return NULL;
}

const char *address_text(const struct sockaddr *a, char *out, size_t bytes)
{
    const void *at = a->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr
                   : a->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr
                                              : NULL;
    return at ? inet_ntop(a->sa_family, at, out, (socklen_t)bytes) : NULL;
}
