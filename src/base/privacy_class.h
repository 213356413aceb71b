/* privacy_class.h: the four privacy classes and their join. Pure; any thread.
 *
 *   public    any place
 *   internal  this machine or on-premises
 *   private   this machine only
 *   secret    this machine only, and no text in ledger, log, snapshot or report
 *
 * Classes join by max: a request is as private as the most private thing in it. What is not understood is private. */
#ifndef BASE_PRIVACY_CLASS_H
#define BASE_PRIVACY_CLASS_H

#include <stdbool.h>

typedef enum privacy_class { PRIVACY_PUBLIC, PRIVACY_INTERNAL, PRIVACY_PRIVATE, PRIVACY_SECRET } privacy_class;
enum { PRIVACY_CLASSES = 4 };

/* "public" … "secret". A value outside the enum is named "private". */
const char *privacy_class_name(privacy_class c);
/* Exactly one of the four names; false (and *out untouched) for anything else. */
bool privacy_class_parse(const char *name, privacy_class *out);
/* The stricter of the two. */
privacy_class privacy_class_join(privacy_class a, privacy_class b);
/* False for private and secret (and for what is outside the enum): text of that class never leaves this machine. */
bool privacy_class_may_leave(privacy_class c);

#endif
