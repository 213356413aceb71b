/* cores.h: how many cores this process may use at the same time: its affinity mask, and the cgroup's CPU quota rounded
 * up. At least 1. Any thread. */
#ifndef PLAT_CORES_H
#define PLAT_CORES_H

int cores_usable(void);

#endif
