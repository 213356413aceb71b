/* page_int.h: between the files that write the page. Every figure and every stranger's word is written through a spot:
 * a row, its columns and where it is in the JSON (a JSON pointer, RFC 6901). It carries that place as data-key, and how
 * it is written as data-as, so that a test (and a reader's script) can find each in the JSON. */
#ifndef REPORT_PAGE_INT_H
#define REPORT_PAGE_INT_H

#include "report/report_int.h"

typedef struct spot {
    char path[96];
    const report_columns *t;
    const void *row;
} spot;
spot spot_task(const report_data *r, size_t i);
spot spot_arm(const report_data *r, size_t i, size_t arm);
spot spot_bin(const report_data *r, size_t i, size_t arm, size_t bin);
spot spot_point(const report_data *r, size_t i, size_t point);
spot spot_change(const report_data *r, size_t i, size_t change);
spot spot_case(const report_data *r, size_t i, size_t k);
spot spot_class(const report_data *r, size_t i, size_t arm, size_t k);
spot spot_confusion(const report_data *r, size_t i, size_t arm, size_t k);
spot spot_preference(const report_data *r, size_t i, size_t k);
spot spot_part(const report_data *r, size_t i, size_t k, size_t answer, size_t part);
spot spot_answer(const report_data *r, size_t i, size_t k, size_t answer);

/* <span data-key data-as>…</span> around a figure; around a text. */
void page_figure(buf *out, const spot *at, const char *name, report_as as);
void page_words(buf *out, const spot *at, const char *name);
/* The attributes alone, with a blank before, and the figure alone: for elements of pictures. */
void page_key(buf *out, const spot *at, const char *name, report_as as);
void page_shown(buf *out, const spot *at, const char *name, report_as as);
const char *spot_text(const spot *at, const char *name);
double spot_figure(const spot *at, const char *name);
void page_escape(buf *out, const char *s);

/* Tables: one row of cells a spot. */
typedef struct page_cell {
    const char *title;
    const char *name;  /* column */
    report_as as;      /* of figures */
    bool text;
} page_cell;
void page_table_begin(buf *out, const char *caption, const char *first, const page_cell *cells, size_t n);
void page_table_cells(buf *out, const spot *at, const page_cell *cells, size_t n);
void page_table_end(buf *out);
/* A caption that names the task, so that a list of regions can be told apart. Returns text. */
const char *page_named(const char *what, const report_task *t, char text[192]);

/* "local", "cloud" or "other": the class of an arm or a point, which gives its colour and shape. */
const char *page_class_of(const char *place, const char *provider);
/* A mark of its class at x percent, y pixels. */
void picture_mark(buf *out, const char *class_name, double x, double y);
/* x in percent, y in pixels. */
void picture_line(buf *out, const char *class_name, double x1, double x2, double y1, double y2);
/* A mark in a legend. */
void picture_key(buf *out, const char *class_name);

/* pictures: each one <svg role="img"> with title and description, whose ids begin with "tI-". */
void picture_crossing(const report_data *r, size_t i, buf *out);
void picture_history(const report_data *r, size_t i, buf *out);
void picture_models(const report_data *r, size_t i, buf *out);
void picture_reliability(const report_data *r, size_t i, size_t arm, buf *out);
/* "A" … "z", then "*", of an arm, and of the arm that a provider's points belong to (0: none). */
char picture_letter(size_t arm);
char picture_letter_of(const report_task *t, const char *provider);
/* Whether the arm is in the picture of models. */
bool picture_has(const report_arm *a);
/* A legend of letters: the arms that are drawn (models), or those with points (history). */
void page_letters(const report_data *r, size_t i, bool models, buf *out);
enum { PICTURE_POINTS_MAX = 24 }; /* the newest points of the history that are drawn */

/* page_*.c: parts of a task's section. */
void page_quality(const report_data *r, size_t i, buf *out);
void page_history(const report_data *r, size_t i, buf *out);
void page_models(const report_data *r, size_t i, buf *out);
void page_setting(const report_data *r, size_t i, buf *out); /* how the times were taken */
void page_f1(const report_data *r, size_t i, buf *out);
void page_people(const report_data *r, size_t i, buf *out);
void page_costs(const report_data *r, size_t i, buf *out);
void page_confidence(const report_data *r, size_t i, buf *out);
void page_cases(const report_data *r, size_t i, buf *out);

#endif
