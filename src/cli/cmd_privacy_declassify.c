/* cmd_privacy_declassify.c: hearth privacy declassify FILE --to CLASS --reason TEXT; --list. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd_privacy.h"
#include "cli/input.h"
#include "plat/clock.h"
#include "privacy/declassify.h"
#include "privacy/detect.h"

static const usage page = {
    "hearth privacy declassify [OPTION]... FILE --to CLASS --reason TEXT\n"
    "       hearth privacy declassify --list",
    "FILE ('-': standard input) holds a text that counts as CLASS from now on, whatever detectors, the dictionary and\n"
    "fingerprints find in it: exactly this text, as a whole message, part or value of a request. Labels of a task, a\n"
    "key, a header or a folder are not lowered by it. The text is not kept: a keyed digest is, with the reason, the\n"
    "time and the user, in the audit log first. Running servers take it up on SIGHUP.\n\n"
    "examples:\n"
    "  hearth privacy declassify imprint.txt --to public --reason 'it is on our web page'\n"
    "  hearth privacy declassify --list --json\n",
};

static int print_list(bool json)
{
    js *list = NULL;
    error err = { 0 };
    if (declassified_list(&list, &err))
        return report("privacy declassify", &err);
    if (json)
        return cli_print_json(list, "privacy declassify");
    for (size_t i = 0; i < js_len(list); i++) {
        const js *o = js_at(list, i);
        char when[CLOCK_TEXT];
        int64_t at_us = 0, bytes = 0, record = 0;
        (void)js_int(js_get(o, "at_us"), &at_us);
        (void)js_int(js_get(o, "bytes"), &bytes);
        (void)js_int(js_get(o, "record"), &record);
        printf("%s  %s  %" PRId64 " bytes  record %" PRId64 "  ", clock_utc_text(at_us, when),
               js_text(js_get(o, "class")), bytes, record);
        cli_print_text(js_text(js_get(o, "user")), "");
        printf(": ");
        cli_print_text(js_text(js_get(o, "reason")), "");
        putchar('\n');
    }
    js_free(list);
    return EXIT_OK;
}

static int add(const char *path, privacy_class to, const char *reason, bool json)
{
    buf text = BUF_INIT(DETECT_MAX_BYTES);
    char user[64];
    error err = { 0 };
    const struct passwd *who = getpwuid(getuid());
    snprintf(user, sizeof user, "%s", who ? who->pw_name : "");
    if (!who)
        snprintf(user, sizeof user, "uid %lu", (unsigned long)getuid());
    status s = input_read_file(path, &text, &err);
    if (!s)
        s = declassify(buf_text(&text), text.len, to, reason, user, &err);
    buf_clear(&text);
    if (s)
        return report("privacy declassify", &err);
    if (!json) {
        printf("%s: this text counts as %s from now on; running servers take it up on SIGHUP\n", path,
               privacy_class_name(to));
        return EXIT_OK;
    }
    js *o = js_object();
    js_set(o, "file", js_new_string(path));
    js_set(o, "class", js_new_string(privacy_class_name(to)));
    return cli_print_json(o, "privacy declassify");
}

int cmd_privacy_declassify(int argc, char **argv)
{
    const char *to = NULL, *reason = NULL;
    bool list = false, json = false;
    privacy_class class = PRIVACY_PRIVATE;
    const option options[] = {
        { "to", 0, OPTION_TEXT, &to, "CLASS", "public, internal or private" },
        { "reason", 0, OPTION_TEXT, &reason, "TEXT", "why this may be: it is written down" },
        { "list", 0, OPTION_FLAG, &list, NULL, "what was declassified, when, by whom and why" },
        { "json", 0, OPTION_FLAG, &json, NULL, "one JSON document instead of text" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (list)
        return n || to || reason ? usage_error(argv[0], "--list stands alone") : print_list(json);
    if (n != 1)
        return usage_error(argv[0], "exactly one FILE is needed, or '-' for standard input");
    if (!to || !privacy_class_parse(to, &class) || class == PRIVACY_SECRET)
        return usage_error(argv[0], "--to must be public, internal or private");
    if (!reason)
        return usage_error(argv[0], "--reason says why this may be");
    return add(argv[1], class, reason, json);
}
