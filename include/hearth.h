/* hearth.h: the public C library. Placeholder version line; the engine's interface is added with src/engine. */
#ifndef HEARTH_H
#define HEARTH_H

#define HEARTH_VERSION "0.1.0"

#endif
