/* numerics.h: the version of docs/NUMERICS.md, which fixes the order of every operation. It changes whenever any result
 * may change, and is part of what evidence is of: those who keep evidence need it without the engine. */
#ifndef BASE_NUMERICS_H
#define BASE_NUMERICS_H

#define NUMERICS_VERSION "1"

#endif
