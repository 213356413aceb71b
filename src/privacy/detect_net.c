/* detect_net.c: addresses: e-mail, IPv4, IPv6, MAC. Each looks at a bounded number of bytes. */
#include <string.h>

#include "privacy/detect_int.h"

/* ---- e-mail (RFC 5321: 64 bytes before the @, 255 after it) ---- */

enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, TOP_MIN = 2, TOP_MAX = 24 };

/* Of what RFC 5321 allows, what is used: '=' and '&' stand before an address more often than in it. */
static bool is_local(char c)
{
    return is_word(c) || (unsigned char)c >= 0x80 || c == '.' || c == '_' || c == '-' || c == '+' || c == '%';
}

static bool is_domain(char c)
{
    return is_word(c) || (unsigned char)c >= 0x80 || c == '-' || c == '.';
}

/* Where the domain ends if its last label is letters; 0: it is none. */
static size_t domain_end(const view *v, size_t at)
{
    size_t end = at, dot = 0;
    while (end < v->n && end - at < DOMAIN_MAX && is_domain(v->p[end]))
        end++;
    while (end > at && (v->p[end - 1] == '.' || v->p[end - 1] == '-'))
        end--;
    for (size_t i = at; i < end; i++)
        if (v->p[i] == '.')
            dot = i;
    if (!dot || dot == at || end - dot - 1 < TOP_MIN || end - dot - 1 > TOP_MAX)
        return 0;
    for (size_t i = dot + 1; i < end; i++)
        if (is_digit(v->p[i]))
            return 0;
    return end;
}

/* scheme://user:password@ before this @? */
static void url_password(scan *s, const view *v, size_t at)
{
    size_t colon = 0, i = at;
    while (i > 0 && at - i < 2 * LOCAL_MAX && (unsigned char)v->p[i - 1] > ' ' && v->p[i - 1] != '@') {
        i--;
        if (v->p[i] == ':' && v->p[i + 1] != '/')
            colon = i;
        if (v->p[i] == '/' && i >= 2 && v->p[i - 1] == '/' && v->p[i - 2] == ':') {
            if (colon > i + 1 && at > colon + 1)
                detect_hit(s, v, RULE_URL_PASSWORD, colon + 1, at, detect_rules[RULE_URL_PASSWORD].score);
            return;
        }
    }
}

void mail_at(scan *s, const view *v, size_t at)
{
    size_t begin = at, end = domain_end(v, at + 1);
    url_password(s, v, at);
    while (begin > 0 && at - begin <= LOCAL_MAX && is_local(v->p[begin - 1]))
        begin--;
    while (begin < at && !is_word(v->p[begin]) && (unsigned char)v->p[begin] < 0x80)
        begin++;
    if (end && begin < at && at - begin <= LOCAL_MAX)
        detect_hit(s, v, RULE_EMAIL, begin, end, detect_rules[RULE_EMAIL].score);
}

/* ---- IPv4 ---- */

static size_t read_ipv4(const char *p, size_t n, uint8_t out[4])
{
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        size_t begin = at;
        unsigned x = 0;
        while (at < n && at - begin < 3 && is_digit(p[at]))
            x = x * 10 + (unsigned)(p[at++] - '0');
        if (at == begin || x > 255 || (at < n && is_word(p[at])) || (part < 3 && (at >= n || p[at++] != '.')))
            return 0;
        out[part] = (uint8_t)x;
    }
    return at;
}

static void ipv4_at(scan *s, const view *v, size_t at)
{
    uint8_t ip[4];
    size_t n = read_ipv4(v->p + at, v->n - at, ip), end = at + n;
    bool before = at >= 2 && v->p[at - 1] == '.' && is_digit(v->p[at - 2]);
    bool after = end + 1 < v->n && v->p[end] == '.' && is_digit(v->p[end + 1]);
    bool nobody = ip[0] == 0 || ip[0] == 127 || ip[0] == 255;
    if (n && !before && !after && !nobody)
        detect_hit(s, v, RULE_IPV4, at, end, detect_rules[RULE_IPV4].score);
}

/* ---- MAC ---- */

/* `groups` groups of `size` hexadecimal digits with one separator between; returns the length, 0: none. */
static size_t read_mac(const char *p, size_t n, size_t groups, size_t size, const char *separators)
{
    size_t whole = groups * (size + 1) - 1, zeros = 0, fs = 0;
    if (n < whole || !strchr(separators, p[size]) || (n > whole && is_word(p[whole])))
        return 0;
    if (n > whole + 1 && p[whole] == p[size] && is_hex(p[whole + 1]))
        return 0;
    for (size_t i = 0; i < whole; i++) {
        bool joint = i % (size + 1) == size;
        if (joint ? p[i] != p[size] : !is_hex(p[i]))
            return 0;
        zeros += p[i] == '0';
        fs += (p[i] | 0x20) == 'f';
    }
    return zeros == groups * size || fs == groups * size ? 0 : whole;
}

static void mac_at(scan *s, const view *v, size_t at, size_t word)
{
    const char *p = v->p + at;
    size_t n = v->n - at;
    bool before = at >= 2 && (v->p[at - 1] == ':' || v->p[at - 1] == '-') && is_hex(v->p[at - 2]);
    size_t found = before || n < 14 ? 0 : word == 2 ? read_mac(p, n, 6, 2, ":-") : read_mac(p, n, 3, 4, ".");
    if (found)
        detect_hit(s, v, RULE_MAC, at, at + found, detect_rules[RULE_MAC].score);
}

void address_at(scan *s, const view *v, size_t at, size_t word_end)
{
    size_t word = word_end - at;
    if (word_end >= v->n)
        return;
    if (v->p[word_end] == '.' && word <= 3 && is_digit(v->p[at]))
        ipv4_at(s, v, at);
    if ((word == 2 || word == 4) && is_hex(v->p[at]) && strchr(word == 2 ? ":-" : ".", v->p[word_end]))
        mac_at(s, v, at, word);
}

/* ---- IPv6 (RFC 4291, 2.2) ---- */

enum { IPV6_MAX = 45 };

/* Groups of up to four hexadecimal digits, one "::" at most, an IPv4 address as the last two. */
static bool is_ipv6(const char *p, size_t n)
{
    size_t groups = 0, at = 0;
    bool gap = n >= 2 && p[0] == ':' && p[1] == ':';
    at = gap ? 2 : 0;
    while (at < n) {
        uint8_t ip[4];
        size_t begin = at;
        while (at < n && at - begin < 5 && is_hex(p[at]))
            at++;
        if (at < n && p[at] == '.' && read_ipv4(p + begin, n - begin, ip) == n - begin)
            return gap ? groups + 2 < 8 : groups + 2 == 8;
        if (at == begin || at - begin > 4 || ++groups > 8)
            return false;
        if (at == n)
            break;
        if (p[at++] != ':' || at == n)
            return false;
        if (p[at] == ':') {
            if (gap)
                return false;
            gap = true;
            if (++at == n)
                break;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

void colon_at(scan *s, const view *v, size_t at)
{
    size_t begin = at, end, colons = 0, digits = 0;
    while (begin > 0 && at - begin < 4 && is_hex(v->p[begin - 1]))
        begin--;
    if (begin > 0 && (is_word(v->p[begin - 1]) || v->p[begin - 1] == ':'))
        return;
    for (end = begin; end < v->n && end - begin <= IPV6_MAX; end++) {
        if (!is_hex(v->p[end]) && v->p[end] != ':' && v->p[end] != '.')
            break;
        colons += v->p[end] == ':';
        digits += is_digit(v->p[end]);
    }
    while (end > begin &&
           (v->p[end - 1] == '.' || (v->p[end - 1] == ':' && (end - begin < 2 || v->p[end - 2] != ':')))) {
        colons -= v->p[end - 1] == ':';
        end--;
    }
    bool after = end < v->n && is_word(v->p[end]);
    if (after || colons < 2 || digits < 2 || end - begin < 6 || !is_ipv6(v->p + begin, end - begin))
        return;
    detect_hit(s, v, RULE_IPV6, begin, end, detect_rules[RULE_IPV6].score);
}
