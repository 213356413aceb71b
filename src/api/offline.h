/* offline.h: what a request could have here, told to whoever was sent elsewhere and found nobody there. Any thread. */
#ifndef API_OFFLINE_H
#define API_OFFLINE_H

#include "api/api_int.h"

/* Of a target that is not local and could not be reached: adds to the fault which local provider has which measured
 * quality on its task, or which local models there are. Other faults stay as they are. */
void api_offline_advice(const api *a, const target *t, api_fault *f);

#endif
