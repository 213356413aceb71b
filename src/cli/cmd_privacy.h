/* cmd_privacy.h: the verbs of `hearth privacy`. A verb is one file, cmd_privacy_VERB.c, and one row of the table in
 * cmd_privacy.c. */
#ifndef CLI_CMD_PRIVACY_H
#define CLI_CMD_PRIVACY_H

#include "cli/cli.h"

/* argv[0] is "privacy VERB", for usage and errors. Each returns the exit code. */
int cmd_privacy_check(int argc, char **argv);
int cmd_privacy_proof(int argc, char **argv);
int cmd_privacy_declassify(int argc, char **argv);
int cmd_privacy_fingerprint(int argc, char **argv);

#endif
