/* The line of what takes long: how much time is left against works whose pace is known, what it never says, and where
 * and how often it is written. */
#include "lib/check.h"

#include <fcntl.h>
#include <math.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"
#include "lib/random.h"
#include "plat/clock.h"

enum { SECOND = 1000000 };

/* Seconds that the line says are left; -1: it does not. */
static int left_of(const progress_line *p)
{
    char text[PROGRESS_TEXT];
    int h = 0, m = 0, s = 0;
    const char *at = strstr(progress_text(p, text), " %, ");
    if (!at)
        return -1;
    if (sscanf(at, " %%, %d:%2d:%2d left", &h, &m, &s) == 3)
        return h * 3600 + m * 60 + s;
    assert_int_equal(sscanf(at, " %%, %d:%2d left", &m, &s), 2);
    assert_true(m >= 0 && s >= 0 && s < 60);
    return m * 60 + s;
}

static void expect(const progress_line *p, const char *wanted)
{
    char text[PROGRESS_TEXT];
    assert_string_equal(progress_text(p, text), wanted);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } rows[] = { { 0, "0:00" }, { 0.2, "0:01" }, { 59.5, "1:00" }, { 80, "1:20" }, { 3599.1, "1:00:00" },
                 { 3723, "1:02:03" }, { 359999, "99:59:59" }, { 360000, "-" }, { -1, "-" }, { (double)NAN, "-" },
                 { (double)INFINITY, "-" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[24];
        assert_string_equal(progress_left(text, rows[i].seconds), rows[i].text);
    }
}

static void a_steady_pace_is_foretold(void **state)
{
    (void)state;
    progress_line p = { 0 };
    for (uint64_t t = 0; t <= 1000; t++) { /* tenths of a second */
        progress_note(&p, "encoding", t, 1000, 1 + t * SECOND / 10);
        if (t < 20 || t == 1000)
            assert_int_equal(left_of(&p), -1);
        else
            assert_in_range(left_of(&p), (1000 - t) / 10, (1000 - t) / 10 + 1);
    }
    expect(&p, "encoding 100 %");
}

static void steps_that_take_long_are_smoothed(void **state)
{
    (void)state;
    progress_line p = { 0 };
    for (uint64_t step = 0; step < 40; step++) { /* alternately 6 and 14 seconds, asked every second */
        uint64_t at = step / 2 * 20 + step % 2 * 6;
        for (uint64_t s = 0; s < (step % 2 ? 14 : 6); s++) {
            progress_note(&p, "measuring layers", step, 40, 1 + (at + s) * SECOND);
            double wanted = 400 - (double)(at + s);
            if (step >= 8)
                assert_true(fabs((double)left_of(&p) - wanted) < 0.4 * wanted + 14);
        }
    }
}

static void another_pace_is_learnt(void **state)
{
    (void)state;
    progress_line p = { 0 };
    uint64_t done = 0, t = 0;
    for (; t < 100; t++)
        progress_note(&p, "encoding", done += 40, 100000, 1 + t * SECOND);
    int before = left_of(&p);
    assert_in_range(before, 2390, 2410);
    for (; t < 300; t++)
        progress_note(&p, "encoding", done += 10, 100000, 1 + t * SECOND);
    assert_in_range(left_of(&p), 9000, 9500); /* 9400 at the new pace, 3500 at the mean of all */
    for (int i = 0; i < 3; i++, t += 20) { /* nothing comes any more */
        before = left_of(&p);
        progress_note(&p, "encoding", done, 100000, 1 + t * SECOND);
        assert_true(left_of(&p) > before);
    }
}

static void phases(void **state)
{
    (void)state;
    progress_line p = { 0 };
    progress_note(&p, "measuring layers 1/30", 0, 1000, 1);
    progress_note(&p, "measuring layers 2/30", 10, 1000, 1 + 5 * SECOND);
    expect(&p, "measuring layers 2/30, 1 %, 8:15 left");
    progress_note(&p, "measuring layers 12/30", 405, 1000, 1 + 6 * SECOND); /* still the same */
    assert_true(left_of(&p) > 0);
    progress_note(&p, "encoding", 405, 1000, 1 + 7 * SECOND);
    expect(&p, "encoding 40 %");
    progress_note(&p, "encoding", 405, 1000, 1 + 20 * SECOND); /* over two seconds, but not one step */
    expect(&p, "encoding 40 %");
    progress_note(&p, "encoding", 406, 1000, 1 + 30 * SECOND);
    assert_true(left_of(&p) > 0);
    progress_note(&p, "encoding", 400, 1000, 1 + 31 * SECOND); /* from the beginning again */
    expect(&p, "encoding 40 %");
    progress_note(&p, "encoding", 400, 2000, 1 + 32 * SECOND);
    expect(&p, "encoding 20 %");
    progress_note(&p, "waiting", 7, 0, 1 + 33 * SECOND);
    expect(&p, "waiting");
    progress_note(&p, "blk\033[2J\x80", 7, 10, 1 + 34 * SECOND);
    expect(&p, "blk?[2J? 70 %");
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    progress_note(&p, longest, UINT64_MAX, UINT64_MAX, 1 + 35 * SECOND);
    char text[PROGRESS_TEXT];
    assert_int_equal(strlen(progress_text(&p, text)), PROGRESS_PHASE - 1 + strlen(" 100 %"));
}

static void whatever_comes_nothing_is_negative(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        progress_line p = { 0 };
        uint64_t now = 1, total = 1 + rnd(round % 2 ? 50 : 2000000000), done = 0;
        if (round % 3 == 0)
            total *= 1000000000;
        for (int i = 0; i < 100; i++) {
            char text[PROGRESS_TEXT];
            int percent = -1;
            uint64_t more = total / (1 + rnd(200));
            done = rnd(20) == 0 ? rnd(1000) : done + more;
            now += rnd(4) ? rnd(3 * SECOND) : 0;
            progress_note(&p, "encoding", done, total, now);
            assert_int_equal(sscanf(progress_text(&p, text), "encoding %d %%", &percent), 1);
            assert_in_range(percent, 0, 100);
            assert_null(strchr(text, '-'));
            assert_true(left_of(&p) >= -1);
        }
    }
}

/* ---- where it is written ---- */

static int saved_stderr;

static void redirect(int fd)
{
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0 && dup2(fd, STDERR_FILENO) >= 0);
}

static void restore(void)
{
    fflush(stderr);
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    close(saved_stderr);
}

static void into_a_file_every_ten_seconds(void **state)
{
    (void)state;
    char text[400] = "";
    progress_line p;
    FILE *f = tmpfile();
    assert_non_null(f);
    redirect(fileno(f));
    progress_init(&p);
    for (uint64_t i = 0; i < 200; i++)
        progress_show(&p, "encoding", i, 1000);
    for (int i = 0; i < 2; i++) { /* ten seconds pass, twice */
        p.told_us -= 10 * SECOND;
        for (uint64_t k = 0; k < 200; k++)
            progress_show(&p, "encoding", 400, 1000);
    }
    progress_end(&p);
    restore();
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    assert_string_equal(text, "encoding 40 %\nencoding 40 %\n");
}

static void onto_a_terminal_within_its_width(void **state)
{
    (void)state;
    char text[400];
    int master, slave;
    progress_line p;
    struct winsize narrow = { .ws_col = 12, .ws_row = 5 };
    if (openpty(&master, &slave, NULL, NULL, &narrow)) {
        print_message("no pseudo-terminals here\n");
        skip();
    }
    redirect(slave);
    progress_init(&p);
    progress_end(&p); /* nothing was drawn: nothing is cleared */
    for (uint64_t i = 0; i < 100; i++)
        progress_show(&p, "encoding", 400, 1000);
    p.told_us -= SECOND;
    progress_show(&p, "waiting", 0, 0);
    progress_end(&p);
    progress_end(&p);
    restore();
    static const char wanted[] = "\rencoding 40\rwaiting    \r       \r";
    size_t n = 0;
    close(slave);
    for (ssize_t k; n < sizeof text - 1 && (k = read(master, text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)k;
    text[n] = 0;
    assert_string_equal(text, wanted);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(a_steady_pace_is_foretold),
        cmocka_unit_test(steps_that_take_long_are_smoothed),
        cmocka_unit_test(another_pace_is_learnt),
        cmocka_unit_test(phases),
        cmocka_unit_test(whatever_comes_nothing_is_negative),
        cmocka_unit_test(into_a_file_every_ten_seconds),
        cmocka_unit_test(onto_a_terminal_within_its_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
