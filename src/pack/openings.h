/* openings.h: beginnings of texts of many kinds, for a model to go on from; written for this. Any thread. */
#ifndef PACK_OPENINGS_H
#define PACK_OPENINGS_H

#include <stddef.h>

/* Number i, from 0; NULL: there are no more. Neighbours are of different kinds. */
const char *opening_at(size_t i);
/* The same of what a user may ask. */
const char *opening_question_at(size_t i);

#endif
