/* build_id.h: which build this is. hearth and its helpers refuse each other when it differs. Any thread. */
#ifndef PLAT_BUILD_ID_H
#define PLAT_BUILD_ID_H

/* "0.1.0-2849112": version and checksum of the sources. */
const char *build_id(void);

#endif
