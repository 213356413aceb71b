/* libFuzzer over the worker: hostile messages from a front, to a loop that has (mostly) a tiny model open. The input is
 * a list of type (1 byte), length (2 bytes, little endian), payload; what does not fit that is sent as it is, so that
 * broken headers arrive too. The loop must end by itself when the front is gone.
 * modules: base plat gguf quant token chat grammar model engine worker
 * built: kernels
 * files: tests/lib/tiny_model.c
 * libs: -lcmocka -lseccomp */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/tiny_model.h"
#include "plat/msg.h"
#include "worker/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int model_fd = -1;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void make_model(void)
{
    tiny_model m = tiny_model_default();
    char path[64];
    m.n_layers = 1;
    m.context = 64;
    snprintf(path, sizeof path, "/tmp/hearth-fuzz-%d.gguf", (int)getpid());
    tiny_model_write(&m, path);
    model_fd = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    must(model_fd >= 0);
}

/* The front's reading side: takes everything, so that the worker never waits. */
static void *drain(void *arg)
{
    char room[4096];
    while (read(*(int *)arg, room, sizeof room) > 0)
        ;
    return NULL;
}

static void say(int fd, const uint8_t *data, size_t size)
{
    static const char open_text[] = "{\"name\":\"m\",\"threads\":1,\"context\":64}";
    msg_link l;
    msg_link_open(&l, dup(fd));
    if (size > 0 && data[0] != 0)
        must(msg_send(&l, MSG_OPEN, 0, open_text, sizeof open_text - 1, &model_fd, 1, -1, NULL) == OK);
    uint32_t id = 1;
    for (size_t at = 1; at + 3 <= size; id++) {
        size_t n = data[at + 1] | (size_t)data[at + 2] << 8;
        if (at + 3 + n > size) {
            must(write(fd, data + at, size - at) >= 0);
            break;
        }
        must(msg_send(&l, (msg_type)data[at], id, data + at + 3, n, NULL, 0, -1, NULL) == OK);
        at += 3 + n;
    }
    msg_link_close(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    pthread_t reader;
    error err = { 0 };
    sandbox_report none = { 0 };
    if (model_fd < 0)
        make_model();
    if (size > 32768)
        return 0; /* what a socket holds without a reader */
    must(msg_pair(pair, &err) == OK);
    say(pair[0], data, size);
    shutdown(pair[0], SHUT_WR);
    must(pthread_create(&reader, NULL, drain, &pair[0]) == 0);
    status s = worker_serve(pair[1], &none, true, &err);
    must(s == OK || err.text[0]);
    pthread_join(reader, NULL);
    close(pair[0]);
    return 0;
}
