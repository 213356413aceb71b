/* facts.h: what a decision rests on, kept between requests: a task and its facts from the ledger, so that a request
 * reads neither. What is kept is const and shared by the requests that use it; the decision itself (route_decide) is
 * made anew for each, with the request's own class.
 *
 * Nothing that is shown is older than the call: every facts_hold asks the file system about each file that the task was
 * made of or that a grader's model is (file_stamp), and the ledger whether anything was committed (ledger_version).
 * What cannot be told apart from a change counts as one. One thread reads a task again while others wait for it.
 *
 * Any thread. At most FACTS_MAX entries, the longest unused goes; what somebody holds lives until it is released. */
#ifndef API_FACTS_H
#define API_FACTS_H

#include "base/privacy_class.h"
#include "base/status.h"
#include "provider/config.h"
#include "route/route.h"
#include "task/task.h"

enum { FACTS_MAX = 128 };

typedef struct facts facts;

/* All borrowed, as in api_options. */
typedef struct facts_options {
    const config *config;
    const char *bin_dir;
    uint64_t memory_bytes;
    status (*bind_task)(struct task *t, const config *c, error *err);
} facts_options;

typedef struct facts_sheet {
    const task *t;  /* with its cases */
    route_input in; /* facts for the task's class and the request's, joined; copy it to set the class for a decision */
} facts_sheet;

status facts_open(facts **out, const facts_options *o, error *err) MUST_CHECK;
/* After every release. */
void facts_close(facts **f);

/* name: as task_open takes it, without '/'. at_least: what is known of the request's class besides the task's own; the
 * sides are chosen among places that both allow. Errors as task_open, task_load_cases, route_gather; none is kept. */
status facts_hold(facts *f, const char *name, privacy_class at_least, const facts_sheet **out, error *err) MUST_CHECK;
/* Accepts NULL. */
void facts_release(facts *f, const facts_sheet *sheet);
/* Another config, or whatever else stamps do not see: everything is read again. */
void facts_forget(facts *f);

typedef struct facts_counts {
    uint64_t held, read; /* facts_hold's calls, and how many of them read the files and the ledger */
} facts_counts;
facts_counts facts_count(facts *f);

#endif
