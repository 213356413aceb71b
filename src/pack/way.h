/* way.h: how rows are encoded. Each way is better and slower than the one before: the type's plain encoder; the search
 * for what loses least by the importances of channels; feedback of errors (feedback.h). */
#ifndef PACK_WAY_H
#define PACK_WAY_H

typedef enum encoder_way { ENCODER_PLAIN, ENCODER_SEARCH, ENCODER_FEEDBACK, ENCODER_WAYS } encoder_way;

extern const char *const encoder_way_names[ENCODER_WAYS];

#endif
