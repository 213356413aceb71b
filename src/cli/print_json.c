/* print_json.c: what --json gives, for every command. */
#include <stdio.h>

#include "base/buf.h"
#include "base/js.h"
#include "cli/cli.h"

enum { DOCUMENT_BYTES_MAX = 512 << 20 };

int cli_print_json(js *document, const char *command_name)
{
    buf text = BUF_INIT(DOCUMENT_BYTES_MAX);
    error err = { 0 };
    js_write(document, JS_PRETTY, &text);
    status s = document ? buf_ok(&text, "the document", &err) : fail(&err, E_NOMEM, "no memory for the document");
    if (!s)
        puts(buf_text(&text));
    buf_clear(&text);
    js_free(document);
    return s ? report(command_name, &err) : EXIT_OK;
}
