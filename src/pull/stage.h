/* stage.h: MODELS/.pull/KEY/, where the files of one fetch lie until they are whole; KEY is made of the source's text.
 * No network in here: the front uses it too. Any thread. */
#ifndef PULL_STAGE_H
#define PULL_STAGE_H

#include "base/status.h"

/* The path in a SOURCE that is a file of this machine (a path, file:PATH, file:///PATH): a part of it. NULL: it is of
 * another kind. */
const char *stage_local_path(const char *source);

/* MODELS/.pull (source NULL), or the folder in it of this source (source_plan.source). Makes nothing. *out: free with
 * mem_free. */
status stage_path(char **out, const char *models, const char *source, error *err) MUST_CHECK;

/* Gives the files of a local model (all parts of a split one) a second name where the fetch of `path`, which is
 * absolute, will look for them: hearth-pull may not do this itself, and copies what it finds no name of. Where that is
 * not possible (another file system, no right), nothing happens. */
void stage_link_local(const char *models, const char *path);

#endif
