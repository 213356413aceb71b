/* dates.h: what belongs to a decision besides its numbers: since when it is so, and when it is looked at again. Reads
 * the ledger, writes nothing. Owner thread of the ledger. */
#ifndef ROUTE_DATES_H
#define ROUTE_DATES_H

#include "base/buf.h"
#include "base/js.h"
#include "ledger/ledger.h"
#include "route/plan.h"

struct task;

/* {"crossed": {at, verdict, cases, right, win, tie, loss} | null, the day on which the task's kept decisions last
 *              became `local` from something else,
 *  "history": [{at, verdict, …}], its kept decisions, oldest first, at most ROUTE_DATES_MAX of the newest,
 *  "next": [{provider, reason, why, cases, kept, measured}]}, what is due to be measured again and why (plan_make).
 * l NULL: nothing was kept. Free with js_free. */
enum { ROUTE_DATES_MAX = 50 };
status route_dates(ledger *l, const struct task *t, const plan_offer *offers, size_t n, int64_t now_us, js **out,
                   error *err) MUST_CHECK;
/* The same as lines of text, indented like route_explain's. */
void route_dates_text(const js *dates, buf *out);

#endif
