/* folder_class.h: the class that a folder is labelled with. Any thread.
 *
 * A file `.hearth-class` with one of the words public, internal, private, secret labels its folder and all below it:
 * the highest of the folder's own and of all above it counts, along the path as it is written and along the real one.
 * What cannot be read, or says anything else, counts as private. */
#ifndef PLAT_FOLDER_CLASS_H
#define PLAT_FOLDER_CLASS_H

#include "base/privacy_class.h"

/* Labels only raise: without any it is public. */
privacy_class folder_class(const char *dir);

#endif
