#include "cli/aside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/load.h"
#include "plat/file.h"

static const char pipe_name[] = "a pipe";

/* The error first, then what was made. */
static int child(int fd, aside_fn *fn, void *user, void *out, size_t bytes)
{
    error err = { 0 };
    load_offline();
    status s = fn(user, out, bytes, &err);
    err.code = s;
    bool told = file_write_all(fd, pipe_name, &err, sizeof err, NULL) == OK;
    return told && (s || file_write_all(fd, pipe_name, out, bytes, NULL) == OK) ? 0 : 1;
}

status aside_run(aside_fn *fn, void *user, void *out, size_t bytes, error *err)
{
    int fds[2];
    error said = { 0 };
    fflush(NULL); /* or both would write it */
    if (pipe(fds))
        return fail(err, E_IO, "cannot start a process: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        _exit(child(fds[1], fn, user, out, bytes));
    }
    int why = errno;
    close(fds[1]);
    bool whole = pid > 0 && file_read_all(fds[0], pipe_name, &said, sizeof said, NULL) == OK &&
                 (said.code || file_read_all(fds[0], pipe_name, out, bytes, NULL) == OK);
    close(fds[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0)
        return fail(err, E_IO, "cannot start a process: %s", strerror(why));
    if (!whole)
        return fail(err, E_IO, "the process that looked at it died");
    said.text[sizeof said.text - 1] = '\0';
    return said.code ? fail(err, said.code, "%s", said.text) : OK;
}
