/* audit_test.h: an audit log of its own for a test, and files as bytes. */
#ifndef TESTS_PRIVACY_AUDIT_TEST_H
#define TESTS_PRIVACY_AUDIT_TEST_H

#include "lib/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "privacy/audit_int.h"
#include "privacy/audit_verify.h"

static char home[64];

static void empty_folder(const char *folder)
{
    DIR *d = opendir(folder);
    char path[512];
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            if (unlink(path) != 0)
                rmdir(path);
        }
    if (d)
        closedir(d);
}

static int make_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/hearth-audit-XXXXXX");
    return mkdtemp(home) && setenv("HEARTH_HOME", home, 1) == 0 ? 0 : -1;
}

static int remove_home(void **state)
{
    (void)state;
    empty_folder(home);
    return rmdir(home);
}

typedef struct bytes {
    char *p;
    size_t n;
} bytes;

static const char *at_home(const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *to = path[turn++ % 4];
    snprintf(to, sizeof path[0], "%s/%s", home, name);
    return to;
}

static inline bytes load(const char *name)
{
    struct stat st;
    bytes b = { NULL, 0 };
    int fd = open(at_home(name), O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    b.p = mem_zero((size_t)st.st_size + 1);
    b.n = (size_t)st.st_size;
    assert_int_equal(read(fd, b.p, b.n), (ssize_t)b.n);
    close(fd);
    return b;
}

static inline void store(const char *name, const char *p, size_t n)
{
    int fd = open(at_home(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), (ssize_t)n);
    close(fd);
}

static inline audit_entry entry(const char *task, const char *body)
{
    return (audit_entry){ .privacy = PRIVACY_PUBLIC, .place = PRIVACY_REMOTE, .host = "https://api.example:443",
                          .model = "big", .task = task, .caller = "laptop", .request = "r-1", .policy = "class",
                          .body = body, .body_bytes = strlen(body) };
}

static inline audit_receipt append_one(audit *a, const char *body)
{
    audit_receipt r = { 0 };
    audit_entry e = entry("ticket-class", body);
    assert_ok(audit_append(a, &e, &r, err));
    return r;
}

static inline audit_verdict verdict_of(const char *key_file)
{
    audit_verdict v;
    audit_question q = { .key_file = key_file };
    assert_ok(audit_verify(&q, NULL, NULL, &v, err));
    return v;
}

static inline void assert_holds(uint64_t records)
{
    audit_verdict v = verdict_of(NULL);
    if (!v.holds || (records && v.records != records))
        fail_msg("%llu records, fault at %llu: %s", (unsigned long long)v.records, (unsigned long long)v.fault_at,
                 v.fault);
}

#endif
