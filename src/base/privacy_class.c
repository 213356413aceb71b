/* privacy_class.c: names and order of the classes. */
#include "base/privacy_class.h"

#include <string.h>

static const char *const names[PRIVACY_CLASSES] = { "public", "internal", "private", "secret" };

/* What is outside the enum counts as private, in every function. */
static privacy_class known(privacy_class c)
{
    return (unsigned)c < PRIVACY_CLASSES ? c : PRIVACY_PRIVATE;
}

const char *privacy_class_name(privacy_class c)
{
    return names[known(c)];
}

bool privacy_class_parse(const char *name, privacy_class *out)
{
    for (unsigned i = 0; name && i < PRIVACY_CLASSES; i++)
        if (!strcmp(name, names[i])) {
            *out = (privacy_class)i;
            return true;
        }
    return false;
}

privacy_class privacy_class_join(privacy_class a, privacy_class b)
{
    a = known(a);
    b = known(b);
    return a > b ? a : b;
}

bool privacy_class_may_leave(privacy_class c)
{
    return known(c) <= PRIVACY_INTERNAL;
}
