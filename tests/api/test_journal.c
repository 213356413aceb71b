/* The log's queue: every line once and in order from many threads, a reader that does not read blocks nobody, what was
 * dropped is counted exactly, a file that was moved away is opened again. */
#include "lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/journal.h"
#include "plat/clock.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hearth-journal-XXXXXX");
    snprintf(path, sizeof path, "%s/log", mkdtemp(folder));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

enum { THREADS = 4, LINES = 500 };
static journal *shared;

static void *write_many(void *arg)
{
    int who = *(int *)arg;
    for (int i = 0; i < LINES; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "%d %d\n", who, i);
        while (!journal_add(shared, line, (size_t)n))
            ;
    }
    return NULL;
}

static void every_line_once_and_in_order(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int names[THREADS], next[THREADS] = { 0 }, who, i;
    assert_ok(journal_open(&shared, path, err));
    for (int t = 0; t < THREADS; t++) {
        names[t] = t;
        pthread_create(&threads[t], NULL, write_many, &names[t]);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    journal_close(&shared);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    FILE *f = fopen(path, "r");
    while (fscanf(f, "%d %d\n", &who, &i) == 2)
        assert_int_equal(i, next[who]++);
    fclose(f);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(next[t], LINES);
    unlink(path);
}

static void nobody_reads_and_nobody_waits(void **state)
{
    (void)state;
    static char line[64 << 10], in[1 << 16];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    assert_int_equal(mkfifo(path, 0600), 0);
    journal *j = NULL;
    error e;
    assert_int_equal(journal_open(&j, path, &e), E_IO); /* no reader at all is said, not waited for */
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_ok(journal_open(&j, path, err));
    uint64_t begun = clock_mono_us();
    int kept = 0, dropped = 0;
    for (int i = 0; i < 200; i++) {
        if (journal_add(j, line, sizeof line))
            kept++;
        else
            dropped++;
    }
    assert_true(clock_mono_us() - begun < 2000000);
    assert_in_range(dropped, 60, 140);
    /* now somebody reads: what was kept arrives whole, and the number of those that were not, in one note or more */
    uint64_t lines = 0, said = 0, notes = 0;
    size_t x = 0;
    char tail[96] = "";
    for (int quiet = 0; said < (uint64_t)dropped && quiet < 3000;) {
        ssize_t n = read(fd, in, sizeof in);
        if (n <= 0) {
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
            quiet++;
            continue;
        }
        for (ssize_t k = 0; k < n; k++) {
            x += in[k] == 'x';
            lines += in[k] == '\n';
            if (in[k] != 'x') {
                size_t m = strlen(tail);
                const char *note = in[k] == '\n' ? strstr(tail, "dropped\":") : NULL;
                said += note ? strtoull(note + 9, NULL, 10) : 0;
                notes += note != NULL;
                if (in[k] == '\n')
                    tail[0] = '\0';
                else if (m + 1 < sizeof tail)
                    memcpy(tail + m, (char[]){ in[k], '\0' }, 2);
            }
        }
    }
    assert_int_equal(said, dropped);
    assert_int_equal(lines, kept + notes);
    assert_int_equal(x, (size_t)kept * (sizeof line - 1));
    journal_close(&j);
    close(fd);
    unlink(path);
}

static void closing_gives_up_on_a_reader_that_never_reads(void **state)
{
    (void)state;
    static char line[256 << 10];
    memset(line, 'x', sizeof line);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    journal *j = NULL;
    assert_ok(journal_open(&j, path, err));
    assert_true(journal_add(j, line, sizeof line));
    uint64_t begun = clock_mono_us();
    journal_close(&j);
    assert_in_range(clock_mono_us() - begun, 1000000, 4000000);
    close(fd);
    unlink(path);
}

static void a_file_that_was_moved_is_made_again(void **state)
{
    (void)state;
    char old[128], text[64] = "";
    snprintf(old, sizeof old, "%s/old", folder);
    journal *j = NULL;
    assert_ok(journal_open(&j, path, err));
    journal_add(j, "one\n", 4);
    struct stat st = { 0 };
    for (int i = 0; i < 2000 && (stat(path, &st) || !st.st_size); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    assert_int_equal(rename(path, old), 0);
    assert_ok(journal_reopen(j, err));
    journal_add(j, "two\n", 4);
    journal_close(&j);
    FILE *f = fopen(path, "r");
    assert_int_equal(fread(text, 1, sizeof text, f), 4);
    assert_memory_equal(text, "two\n", 4);
    fclose(f);
    unlink(old);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_once_and_in_order),
        cmocka_unit_test(nobody_reads_and_nobody_waits),
        cmocka_unit_test(closing_gives_up_on_a_reader_that_never_reads),
        cmocka_unit_test(a_file_that_was_moved_is_made_again),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
