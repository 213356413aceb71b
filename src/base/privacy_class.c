/* privacy_class.c: see the header. */
#include "base/privacy_class.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = { "public", "internal", "private", "secret" };

const char *privacy_class_name(privacy_class c)
{
    return c >= PRIVACY_PUBLIC && c <= PRIVACY_SECRET ? names[c] : names[PRIVACY_PRIVATE];
}

bool privacy_class_parse(const char *name, privacy_class *out)
{
    for (size_t i = 0; name && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (privacy_class)i;
            return true;
        }
    return false;
}

privacy_class privacy_class_join(privacy_class a, privacy_class b)
{
    return a > b ? a : b;
}
