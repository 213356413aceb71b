/* figures.c: precision, recall and F1 by label or field, and who is taken for whom (task/suite.h), of one arm: over the
 * answers that count today and whose texts are kept. Of a task whose texts are withheld the fields are not named, since
 * a case may bring its own names; labels stand in the task. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "report/report_int.h"
#include "task/grade.h"
#include "task/suite.h"

static double or_nan(double v)
{
    return v >= 0 ? v : NAN;
}

/* Every answer that counts and whose text is kept. */
static status add_texts(report_work *w, const struct arm_work *a, suite *figures, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < a->tally.n_keys * a->tally.repeats; i++) {
        const tally_slot *slot = &a->tally.slots[i];
        char *text = NULL;
        error none;
        if (!slot->graded || !slot->row->text[0])
            continue;
        s = ledger_find_text(w->l, slot->row->text, &text, &none);
        if (!s)
            s = suite_add(figures, &w->t->cases[i / a->tally.repeats], text, strlen(text), err);
        else
            s = s == E_NOTFOUND ? OK : fail(err, s, "%s", none.text);
        mem_free(text);
    }
    return s;
}

static status keep_classes(report_work *w, const suite_table *t, report_arm *o, error *err)
{
    const char *grader = report_keep(w, grade_name(w->t, t->grader));
    for (size_t i = 0; grader && i < t->n_classes; i++) {
        const suite_class *c = &t->classes[i];
        report_class *to = &o->classes[o->n_classes++];
        *to = (report_class){ .grader = grader, .kind = t->labels ? "label" : "field", .name = report_keep(w, c->name),
                              .tp = c->tp, .fp = c->fp, .fn = c->fn, .precision = or_nan(c->precision),
                              .recall = or_nan(c->recall), .f1 = or_nan(c->f1) };
        if (!to->name)
            return report_no_memory(err);
    }
    return grader ? OK : report_no_memory(err);
}

/* The classes were kept just before: the last n_classes. */
static void keep_confusion(const suite_table *t, report_arm *o)
{
    const report_class *names = &o->classes[o->n_classes - t->n_classes];
    for (size_t i = 0; i < t->n_classes; i++)
        for (size_t k = 0; k <= t->n_classes; k++) {
            size_t n = t->confusion[i * (t->n_classes + 1) + k];
            if (n)
                o->confusion[o->n_confusion++] =
                    (report_confusion){ names[i].grader, names[i].name,
                                        k < t->n_classes ? names[k].name : "malformed", n };
        }
}

static status keep_tables(report_work *w, const suite_table *tables, size_t n, report_arm *o, error *err)
{
    bool named = strcmp(w->out->text_policy, "shown") == 0;
    size_t classes = 0, cells = 0;
    for (size_t i = 0; i < n; i++) {
        classes += tables[i].n_classes;
        cells += tables[i].labels && tables[i].n_classes <= REPORT_LABELS_MAX
                     ? tables[i].n_classes * (tables[i].n_classes + 1) : 0;
    }
    o->classes = report_rows(w, classes, sizeof *o->classes);
    o->confusion = report_rows(w, cells, sizeof *o->confusion);
    status s = o->classes && o->confusion ? OK : report_no_memory(err);
    for (size_t i = 0; !s && i < n; i++) {
        if (!tables[i].answers || !(named || tables[i].labels))
            continue;
        s = keep_classes(w, &tables[i], o, err);
        if (!s && tables[i].labels && tables[i].n_classes <= REPORT_LABELS_MAX)
            keep_confusion(&tables[i], o);
    }
    return s;
}

status report_gather_figures(report_work *w, size_t arm, error *err)
{
    report_arm *o = &w->out->arms[arm];
    suite *figures = NULL;
    const suite_table *tables = NULL;
    o->macro_f1 = o->micro_f1 = NAN;
    status s = suite_open(&figures, w->t, err);
    size_t n = s ? 0 : suite_tables(figures, &tables);
    if (n)
        s = add_texts(w, &w->arms[arm], figures, err);
    if (!s && n) {
        n = suite_tables(figures, &tables);
        o->n_figures = tables[0].answers;
        if (tables[0].answers) {
            o->macro_f1 = or_nan(tables[0].macro_f1);
            o->micro_f1 = or_nan(tables[0].micro_f1);
        }
        s = keep_tables(w, tables, n, o, err);
    }
    suite_close(&figures);
    return s;
}
