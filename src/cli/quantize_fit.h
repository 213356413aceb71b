/* quantize_fit.h: how large a file `hearth quantize --fit` may make. Main thread. */
#ifndef CLI_QUANTIZE_FIT_H
#define CLI_QUANTIZE_FIT_H

#include <stdint.h>

#include "base/status.h"

/* The most bytes of tensors (pack_options.data_bytes) with which `hearth run` takes no more than `mem` (0: what is free
 * now) with this context (0: as run chooses it), in whatever types allocation chooses. Never more than the source's:
 * where that fits as it is, this is said on standard error. E_NOFIT: all else alone takes more. */
status quantize_fit_bytes(const char *path, uint32_t context, uint64_t mem, uint64_t *out, error *err) MUST_CHECK;

#endif
