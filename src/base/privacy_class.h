/* privacy_class.h: the four classes of design "Routing and privacy", lowest first, so that joining is max. Any thread.
 *
 * public: any place. internal: local or on-premises. private: local only. secret: local only, and no text in ledger,
 * log, snapshot or report. What is not known is private. */
#ifndef BASE_PRIVACY_CLASS_H
#define BASE_PRIVACY_CLASS_H

#include <stdbool.h>

typedef enum privacy_class { PRIVACY_PUBLIC, PRIVACY_INTERNAL, PRIVACY_PRIVATE, PRIVACY_SECRET } privacy_class;

const char *privacy_class_name(privacy_class c); /* "public", "internal", "private", "secret" */
/* False (and *out untouched) when name is none of the four. */
bool privacy_class_parse(const char *name, privacy_class *out);
/* The higher of the two. */
privacy_class privacy_class_join(privacy_class a, privacy_class b);

#endif
