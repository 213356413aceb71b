/* energy.h: the energy that the processor says it used (RAPL, by Linux' /sys/class/powercap): whole packages, with
 * everything that ran on them, ours or not. Memory modules outside the package, disk, screen and the losses of the
 * power supply are not in it. Nothing here fails: what cannot be read is NAN, and energy_why says why. One thread.
 *
 *   FOLDER/intel-rapl:N/name                  "package-0"; also AMD's
 *   FOLDER/intel-rapl:N/energy_uj             microjoules; begins again at 0 after
 *   FOLDER/intel-rapl:N/max_energy_range_uj   so many
 * Not counted, since they would be counted twice: zones inside a package (intel-rapl:0:0, core), "psys" (which holds
 * the packages), and a package that a second interface (intel-rapl-mmio) shows again.
 *
 * A counter holds about 65 kJ: read at least once in a few minutes (at 200 W they are five), or a whole turn is
 * lost. */
#ifndef PLAT_ENERGY_H
#define PLAT_ENERGY_H

typedef struct energy_meter energy_meter;

/* folder NULL: /sys/class/powercap. NULL only without memory; all functions accept NULL as a meter of nothing. */
energy_meter *energy_open(const char *folder);
void energy_close(energy_meter **m);
/* Joules since energy_open, over all packages; NAN: not readable (then it stays so). */
double energy_read(energy_meter *m);
/* "" while it can be read, else a half sentence: "the processor has no energy counter". */
const char *energy_why(const energy_meter *m);

#endif
