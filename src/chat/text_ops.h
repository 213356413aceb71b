/* text_ops.h: operations on texts that both filters and methods need (private to chat/). Origins are kept. */
#ifndef CHAT_TEXT_OPS_H
#define CHAT_TEXT_OPS_H

#include "chat/value.h"

typedef enum char_case { CASE_LOWER, CASE_UPPER, CASE_TITLE, CASE_FOLD } char_case;
void build_case(builder *b, const text *t, size_t from, size_t to, char_case how);
const text *case_lower(run *r, const text *s);
const text *case_upper(run *r, const text *s);
const text *case_folded(run *r, const text *s);
const text *case_capitalized(run *r, const text *s);
const text *case_titled(run *r, const text *s);
const text *case_swapped(run *r, const text *s);

/* count < 0: all. */
const text *text_replace(run *r, const text *s, const text *old, const text *new_text, int64_t count);
/* Python's str.splitlines, split, rsplit; separator NULL: white space. Lists of texts. */
list *split_lines(run *r, const text *s, bool keep_ends);
list *split_text(run *r, const text *s, const text *separator, int64_t most);
list *split_text_right(run *r, const text *s, const text *separator, int64_t most);
const text *text_pad(run *r, const text *s, int64_t width, const text *fill, bool left, bool right);
const text *text_escape(run *r, const text *s); /* & < > " ' for HTML */
const text *text_join(run *r, const text *separator, value items, bool strict); /* strict: texts only */

#endif
