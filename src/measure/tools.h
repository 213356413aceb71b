/* tools.h: what graders need besides the text of an answer: judges, embedding models, programs, and the facts of how
 * the answer came about.
 *
 * A run opens the tools of its task once (measure_tools_open), asks for each contestant whether these may judge it
 * (measure_tools_check), and grades with measure_tools_get and measure_facts. Opening, binding and closing: owner
 * thread; the tools themselves: any thread, as many as there are answers.
 *
 * Rules, enforced here:
 *  1. A judge or embedding model only sees a task's cases where privacy lets them go: a private or secret task has
 *     local ones, unless its cases are synthetic. Asked before anything opens.
 *  2. A judge is never the contestant: not the same weights, not the same server and model.
 *  3. A model that makes vectors is local: its weights are the measure.
 *  4. What stands behind a name (digest of the weights, numerics, KV type; else the address) is bound to the task
 *     before anything is graded: another judge is another grader digest, and grades anew. */
#ifndef MEASURE_TOOLS_H
#define MEASURE_TOOLS_H

#include "base/status.h"
#include "ledger/ledger.h"
#include "provider/provider.h"
#include "task/grade.h"

typedef struct measure_tools measure_tools;

/* Opens every model that the task's graders name, and binds their identity to the task (which nobody else uses yet).
 * A task that names none costs nothing. E_DENIED: privacy; E_UNSUPPORTED: not a model of that kind; else as
 * provider_open. cfg must outlive the tools. */
status measure_tools_open(measure_tools **out, task *t, const config *cfg, error *err) MUST_CHECK;
void measure_tools_close(measure_tools **tools);
/* Binds without opening, for who only reads grades (route, serve, reports): a local model's file is read once and then
 * remembered. A name that cannot be found binds as missing, and then no grade counts. */
status measure_tools_bind(task *t, const config *cfg, error *err) MUST_CHECK;
/* E_DENIED: a judge among them is this contestant. */
status measure_tools_check(const measure_tools *tools, const provider_info *contestant, error *err) MUST_CHECK;
/* Live until measure_tools_close. tools NULL: tools that only run programs. */
const grade_tools *measure_tools_get(const measure_tools *tools);

/* US dollars of an answer's tokens at the provider's prices of now; NAN when not known. */
double measure_price(const provider_info *who, const ledger_answer *a);
/* The facts of an answer as it is written to the ledger, and of one that is read from it; the cost at the provider's
 * prices of now. Borrow row->finish. */
grade_facts measure_facts(const ledger_answer *row, const provider_info *who);
grade_facts measure_facts_kept(const ledger_row *row, const provider_info *who);

/* ---- judges ---- */

/* Rules 1 and 2 alone. `spec` and `place` as of provider_place_of; `who` the opened judge. */
status judge_allowed(const task *t, const char *spec, provider_kind kind, provider_place place, error *err) MUST_CHECK;
status judge_is_another(const task *t, const provider_info *who, const provider_info *contestant,
                        error *err) MUST_CHECK;

#endif
