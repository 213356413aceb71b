/* stream_int.h: what the dialects of stream.h share. E_PROVIDER: it makes no sense; E_CANCELLED: nobody wants more. */
#ifndef EGRESS_STREAM_INT_H
#define EGRESS_STREAM_INT_H

#include "egress/stream.h"

extern const char stream_calls_unasked[];

void stream_model(stream *s, const js *name);
/* NULL and null are no text. */
status stream_text(stream *s, bool reasoning, const js *content, error *err) MUST_CHECK;
/* A call without an id gets one. */
status stream_begin_call(stream *s, const js *id, const js *name, error *err) MUST_CHECK;
status stream_arguments(stream *s, uint32_t index, const js *arguments, error *err) MUST_CHECK;
/* s->finish is set. */
status stream_end_calls(stream *s, error *err) MUST_CHECK;
/* A document that is an error instead of an answer. */
status stream_check_error(const js *doc, const char *data, size_t n, error *err) MUST_CHECK;

/* ---- stream_anthropic.c ---- */
status stream_anthropic_event(stream *s, const char *data, size_t n, error *err) MUST_CHECK;
status stream_anthropic_whole(stream *s, const char *data, size_t n, error *err) MUST_CHECK;

#endif
