/* cmd_privacy.c: hearth privacy VERB: the table of verbs. */
#include "cli/cmd_privacy.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} verbs[] = {
    { "check", cmd_privacy_check, "what in a file makes it more private than public; exit code 1 when something does" },
    { "proof", cmd_privacy_proof, "what keeps private texts on this machine, tried; exit code 1 if it does not hold" },
    { "declassify", cmd_privacy_declassify, "a text may count as less private than it looks, for a reason" },
    { "fingerprint", cmd_privacy_fingerprint, "private documents, so that copies of their passages are known" },
};

static int help(int argc, char **argv)
{
    buf text = BUF_INIT(1 << 16);
    buf_str(&text, "What is private, and what proves it (docs/PRIVACY.md). Every verb has --json; `hearth privacy "
                   "VERB --help` says more.\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        buf_printf(&text, "  %-12s %s\n", verbs[i].name, verbs[i].summary);
    buf_str(&text, "example:\n  hearth privacy check letter.txt\n");
    const usage u = { "hearth privacy VERB [OPTION]...", buf_text(&text) };
    size_t n = 0;
    int code = EXIT_OK;
    if (options_read(argc, argv, &u, NULL, 0, &n, &code)) {
        buf_reset(&text);
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
            buf_printf(&text, "%s%s", i ? ", " : "", verbs[i].name);
        const char *near = n ? str_nearest(argv[1], verbs, ARRAY_LEN(verbs), sizeof *verbs) : NULL;
        code = n ? usage_error("privacy", "'%s' is none of %s%s%s%s", argv[1], buf_text(&text),
                               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "")
                 : usage_error("privacy", "which verb? There are: %s", buf_text(&text));
    }
    buf_clear(&text);
    return code;
}

int cmd_privacy(int argc, char **argv)
{
    char name[64];
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0) {
            snprintf(name, sizeof name, "privacy %s", verbs[i].name);
            argv[1] = name;
            return verbs[i].run(argc - 1, argv + 1);
        }
    return help(argc, argv);
}
