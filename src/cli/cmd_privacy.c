/* cmd_privacy.c: hearth privacy VERB: the table of verbs. */
#include "cli/cmd_privacy.h"

#include <stdio.h>

#include "cli/verbs.h"

static const struct {
    verb_words words;
    int (*run)(int argc, char **argv);
} verbs[] = {
    { { "check", "what in a file makes it more private than public; exit code 1 when something does" },
      cmd_privacy_check },
    { { "proof", "what keeps private texts on this machine, tried; exit code 1 if it does not hold" },
      cmd_privacy_proof },
    { { "declassify", "a text may count as less private than it looks, for a reason" },
      cmd_privacy_declassify },
    { { "fingerprint", "private documents, so that copies of their passages are known" },
      cmd_privacy_fingerprint },
};

static const verb_table all_verbs = VERB_TABLE("privacy", verbs);
static const verb_help page = {
    "hearth privacy VERB [OPTION]...",
    "What is private, and what proves it (docs/PRIVACY.md). Every verb has --json; `hearth privacy VERB --help` says "
    "more.\n",
    "example:\n  hearth privacy check letter.txt\n", 12
};

int cmd_privacy(int argc, char **argv)
{
    char name[64];
    size_t i = argc > 1 ? verbs_find(&all_verbs, argv[1]) : all_verbs.n;
    if (i == all_verbs.n)
        return verbs_help(&all_verbs, &page, argc, argv);
    snprintf(name, sizeof name, "privacy %s", verbs[i].words.name);
    argv[1] = name;
    return verbs[i].run(argc - 1, argv + 1);
}
