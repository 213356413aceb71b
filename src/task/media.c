/* media.c: images and other parts that are not text, where a stranger's file has some. hearth's tasks are text: what
 * cannot be asked is refused, with its place, and never dropped. */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

enum { DEPTH_MAX = 16 };

static bool is_data_image(const js *v)
{
    return js_is(v, JS_STRING) && str_starts(js_text(v), "data:image/");
}

/* {"type": "image_url", …}, {"type": "image", "source": …} and their kin. */
static bool is_part(const js *v)
{
    static const char *const types[] = { "image_url", "input_image", "image",      "image_file",
                                         "input_audio", "audio",     "input_file", "file" };
    static const char *const holders[] = { "image_url", "source", "file", "file_id", "input_audio", "image_file",
                                           "image",     "audio",  "data", "image_data" };
    const js *type = js_get(v, "type");
    bool known = false, held = js_get(v, "image_url") != NULL;
    for (size_t i = 0; js_is(type, JS_STRING) && i < ARRAY_LEN(types); i++)
        known = known || !strcmp(js_text(type), types[i]);
    for (size_t i = 0; known && i < ARRAY_LEN(holders); i++)
        held = held || js_get(v, holders[i]);
    return held && (known || js_is(js_get(js_get(v, "image_url"), "url"), JS_STRING));
}

static bool find(const js *v, const char *at, int depth, char *where, size_t size)
{
    char path[256];
    if (depth > DEPTH_MAX)
        return false;
    if (is_data_image(v) || is_part(v)) {
        snprintf(where, size, "%s", at);
        return true;
    }
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++) {
        snprintf(path, sizeof path, "%.200s[%zu]", at, i);
        if (find(js_at(v, i), path, depth + 1, where, size))
            return true;
    }
    for (js_member m = { 0 }; js_next(v, &m);) {
        snprintf(path, sizeof path, "%.150s%s%.60s", at, *at ? "." : "", m.key);
        if (find(m.value, path, depth + 1, where, size))
            return true;
    }
    return false;
}

bool media_find(const js *v, const char *name, char *where, size_t size)
{
    return find(v, name, 0, where, size);
}
