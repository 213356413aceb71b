/* schema_format.c: the values of `format`, one row each: a regular language that the validator matches and the
 * generator writes. Sources: RFC 3339 (dates, times, durations), RFC 5321 4.1.2 (email), RFC 3986 appendix A (URIs),
 * RFC 1123 2.1 (hostname), RFC 2673 3.2 and 4291 2.2 (addresses), RFC 9562 4 (uuid), RFC 6901 (JSON pointers),
 * RFC 3987 (IRIs), RFC 6570 (URI templates). */
#include <string.h>

#include "grammar/schema_int.h"

/* ---- what no regular expression of a sensible size says: leap seconds ---- */

static int two(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* "hh:mm:60", a fraction, an offset: valid where it is 23:59 in UTC. The rest of the syntax is that of TIME, so it is
 * enough to see that it would be valid with the second 59. */
static bool is_leap_second(const char *text, size_t n)
{
    if (n < 9 || memcmp(text + 5, ":60", 3) != 0)
        return false;
    const char *end = text + n, *zone = text + 8;
    if (*zone == '.')
        for (zone++; zone < end && *zone >= '0' && *zone <= '9'; zone++)
            continue;
    int minutes = two(text) * 60 + two(text + 3);
    if (zone + 6 == end && (*zone == '+' || *zone == '-'))
        minutes -= (*zone == '+' ? 1 : -1) * (two(zone + 1) * 60 + two(zone + 4));
    return (minutes + 2 * 24 * 60) % (24 * 60) == 23 * 60 + 59;
}

static bool time_also(const char *text, size_t n, char *as)
{
    if (!is_leap_second(text, n))
        return false;
    memcpy(as + 6, "59", 2);
    return true;
}

static bool date_time_also(const char *text, size_t n, char *as)
{
    if (n < 11 || !is_leap_second(text + 11, n - 11))
        return false;
    memcpy(as + 17, "59", 2);
    return true;
}

/* ---- expressions ---- */

#define MONTH_DAY                                                                                                      \
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
#define LEAP_YEAR "([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
#define DATE "([0-9]{4}-" MONTH_DAY "|" LEAP_YEAR "-02-29)"
#define HOUR "([01][0-9]|2[0-3])"
#define SIXTY "[0-5][0-9]"
#define TIME HOUR ":" SIXTY ":" SIXTY "(\\.[0-9]+)?([Zz]|[+-]" HOUR ":" SIXTY ")"
#define TIME_NARROW HOUR ":" SIXTY ":" SIXTY "(\\.[0-9]{1,9})?(Z|[+-]" HOUR ":" SIXTY ")"

#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define IPV4 OCTET "(\\." OCTET "){3}"
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(" H16 ":" H16 "|" IPV4 ")"
#define UP_TO(n) "((" H16 ":){0," n "}" H16 ")?"
#define IPV6                                                                                                           \
    "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 "|" UP_TO("1") "::(" H16 ":){3}"   \
    LS32 "|" UP_TO("2") "::(" H16 ":){2}" LS32 "|" UP_TO("3") "::" H16 ":" LS32 "|" UP_TO("4") "::" LS32               \
    "|" UP_TO("5") "::" H16 "|" UP_TO("6") "::)"

#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOSTNAME LABEL "(\\." LABEL ")*"
#define ATOM(more) "[A-Za-z0-9!#$%&'*+/=?^_`{|}~" more "-]+"
#define LOCAL(more) ATOM(more) "(\\." ATOM(more) ")*"
#define QUOTED(more) "\"([ !#-\\[\\]-~" more "]|\\\\[ -~" more "])*\""
#define EMAIL(more, host) "(" LOCAL(more) "|" QUOTED(more) ")@(" host "|\\[(" IPV4 "|IPv6:" IPV6 ")\\])"
#define BEYOND_ASCII "\\u0080-\\u{10FFFF}"
#define IDN_LABEL "[A-Za-z0-9" BEYOND_ASCII "]([A-Za-z0-9" BEYOND_ASCII "-]{0,61}[A-Za-z0-9" BEYOND_ASCII "])?"
#define IDN_HOST IDN_LABEL "(\\." IDN_LABEL ")*"

/* `more` is what may stand beside the unreserved characters of RFC 3986: nothing, or those of RFC 3987. */
#define ESCAPED "%[0-9A-Fa-f]{2}"
#define CHARS(special, more) "([A-Za-z0-9._~!$&'()*+,;=" special more "-]|" ESCAPED ")"
#define PCHAR(more) CHARS(":@", more)
#define VFUTURE "[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+"
#define AUTHORITY(more) "(" CHARS(":", more) "*@)?(" CHARS("", more) "*|\\[(" IPV6 "|" VFUTURE ")\\])(:[0-9]*)?"
#define SEGMENTS(more) "(/" PCHAR(more) "*)*"
#define ABSOLUTE(more) "/(" PCHAR(more) "+" SEGMENTS(more) ")?"
#define NETWORK(more) "//" AUTHORITY(more) SEGMENTS(more)
#define TAIL(more) "(\\?(" PCHAR(more) "|[/?])*)?(#(" PCHAR(more) "|[/?])*)?"
#define SCHEME "[A-Za-z][A-Za-z0-9+.-]*:"
#define URI(more) SCHEME "(" NETWORK(more) "|" ABSOLUTE(more) "|" PCHAR(more) "+" SEGMENTS(more) "|)" TAIL(more)
#define REFERENCE(more)                                                                                                \
    "((" SCHEME ")?(" NETWORK(more) "|" ABSOLUTE(more) "|)|" SCHEME PCHAR(more) "+" SEGMENTS(more) "|"                 \
    CHARS("@", more) "+" SEGMENTS(more) ")" TAIL(more)
#define IRI_CHARS "\\u00A0-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFEF\\u{10000}-\\u{EFFFD}"

#define VARIABLE "([A-Za-z0-9_]|" ESCAPED ")(\\.?([A-Za-z0-9_]|" ESCAPED "))*(:[1-9][0-9]{0,3}|\\*)?"
#define VARIABLE_NARROW "[A-Za-z0-9_]+(\\.[A-Za-z0-9_]+)*(:[1-9][0-9]{0,2}|\\*)?"
#define TEMPLATE(literals, operators, variable)                                                                        \
    "([" literals "]|" ESCAPED "|\\{[" operators "]?" variable "(," variable ")*\\})*"

#define POINTER "(/([^~/]|~[01])*)*"

#define SPAN_TIME(n) "T(" n "H(" n "M(" n "S)?)?|" n "M(" n "S)?|" n "S)"
#define SPAN_DATE(n) "(" n "D|" n "M(" n "D)?|" n "Y(" n "M(" n "D)?)?)"
#define DURATION(n) "P(" SPAN_DATE(n) "(" SPAN_TIME(n) ")?|" SPAN_TIME(n) "|" n "W)"

/* The narrow expression, where there is one, is what is generated: the form everybody writes and every other validator
 * takes (Python's dates begin with the year 1). */
const schema_format schema_format_table[] = {
    { "date", DATE, "(?!0000)" DATE, NULL },
    { "time", TIME, TIME_NARROW, time_also },
    { "date-time", DATE "[Tt]" TIME, "(?!0000)" DATE "T" TIME_NARROW, date_time_also },
    { "duration", DURATION("[0-9]+"), DURATION("(0|[1-9][0-9]{0,4})"), NULL },
    { "email", EMAIL("", HOSTNAME), LOCAL("") "@" HOSTNAME, NULL },
    { "idn-email", EMAIL(BEYOND_ASCII, IDN_HOST), LOCAL("") "@" HOSTNAME, NULL },
    { "hostname", HOSTNAME, NULL, NULL },
    { "ipv4", IPV4, NULL, NULL },
    { "ipv6", IPV6, NULL, NULL },
    { "uri", URI(""), NULL, NULL },
    { "uri-reference", REFERENCE(""), NULL, NULL },
    { "iri", URI(IRI_CHARS), URI(""), NULL },
    { "iri-reference", REFERENCE(IRI_CHARS), REFERENCE(""), NULL },
    { "uri-template", TEMPLATE("!#$&(-;=?-\\[\\]_a-z~" IRI_CHARS, "+#./;?&=,!@|", VARIABLE),
      TEMPLATE("A-Za-z0-9._~:/?#@!$&()*+,;=-", "+#./;?&", VARIABLE_NARROW), NULL },
    { "uuid", "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", NULL, NULL },
    { "json-pointer", POINTER, NULL, NULL },
    { "relative-json-pointer", "(0|[1-9][0-9]*)(#|" POINTER ")", NULL, NULL },
};

/* Said of values of a kind by OpenAPI; nothing about which values are valid that `type` and its bounds do not say. */
static const char *const annotations[] = {
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double", "decimal", "byte",
    "binary", "password",
};

uint32_t schema_format_find(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(schema_format_table); i++)
        if (span_is((span){ name, n }, schema_format_table[i].name))
            return (uint32_t)i + 1;
    return 0;
}

bool schema_format_annotates(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(annotations); i++)
        if (span_is((span){ name, n }, annotations[i]))
            return true;
    return false;
}

size_t schema_format_count(void)
{
    return ARRAY_LEN(schema_format_table);
}
