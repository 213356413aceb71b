/* Framing: whole messages in any cut, descriptors only where they belong, garbage never understood. */
#include "lib/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/msg.h"

static void pair(msg_link *a, msg_link *b)
{
    int fds[2];
    assert_ok(msg_pair(fds, err));
    msg_link_open(a, fds[0]);
    msg_link_open(b, fds[1]);
}

static void round_trip(void **state)
{
    (void)state;
    msg_link a, b;
    msg m;
    bool got = true;
    pair(&a, &b);
    assert_ok(msg_receive(&b, &m, &got, 0, err));
    assert_false(got);
    assert_ok(msg_send_text(&a, MSG_TEXT, 7, "h\xc3\xa9", 100, err));
    assert_ok(msg_send(&a, MSG_DONE, 0xfffffffe, "", 0, NULL, 0, 100, err));
    assert_ok(msg_receive(&b, &m, &got, 100, err));
    assert_true(got);
    assert_int_equal(m.type, MSG_TEXT);
    assert_int_equal(m.request, 7);
    assert_string_equal(m.data, "h\xc3\xa9");
    assert_ok(msg_receive(&b, &m, &got, 100, err));
    assert_int_equal(m.request, 0xfffffffe);
    assert_int_equal(m.length, 0);
    msg_link_close(&a);
    error e;
    assert_int_equal(msg_receive(&b, &m, &got, 100, &e), E_NOTFOUND);
    assert_int_equal(msg_send_text(&b, MSG_TEXT, 1, "x", 10, &e), E_PROVIDER);
    msg_link_close(&b);
}

static void descriptors(void **state)
{
    (void)state;
    msg_link a, b;
    msg m;
    bool got;
    int p[2];
    char c = 0;
    pair(&a, &b);
    assert_int_equal(pipe(p), 0);
    assert_ok(msg_send_text(&a, MSG_HELLO, 0, "first", 100, err));
    assert_ok(msg_send(&a, MSG_OPEN, 0, "{}", 2, p, 2, 100, err));
    assert_ok(msg_receive(&b, &m, &got, 100, err));
    assert_int_equal(m.n_fds, 0);
    assert_ok(msg_receive(&b, &m, &got, 100, err));
    assert_int_equal(m.n_fds, 2);
    assert_int_equal(write(m.fds[1], "!", 1), 1);
    assert_int_equal(read(p[0], &c, 1), 1);
    assert_int_equal(c, '!');
    int kept = m.fds[0], dropped = m.fds[1];
    m.fds[0] = -1; /* taken over */
    assert_ok(msg_receive(&b, &m, &got, 0, err));
    assert_int_not_equal(fcntl(kept, F_GETFD), -1);
    assert_int_equal(fcntl(dropped, F_GETFD), -1);
    close(kept);
    close(p[0]);
    close(p[1]);
    msg_link_close(&a);
    msg_link_close(&b);
}

static void large_and_slow(void **state)
{
    (void)state;
    msg_link a, b;
    error e;
    pair(&a, &b);
    char *data = mem_zero(MSG_BYTES_MAX + 1);
    assert_int_equal(msg_send(&a, MSG_TEXT, 1, data, MSG_BYTES_MAX + 1, NULL, 0, 50, &e), E_RANGE);
    assert_ok(msg_send_text(&a, MSG_TEXT, 1, "still fine", 50, err));
    /* nobody reads: the deadline ends it, and the half-sent message ends the link */
    assert_int_equal(msg_send(&a, MSG_TEXT, 1, data, MSG_BYTES_MAX, NULL, 0, 50, &e), E_PROVIDER);
    assert_int_equal(msg_send_text(&a, MSG_TEXT, 1, "x", 50, &e), E_PROVIDER);
    mem_free(data);
    msg_link_close(&a);
    msg_link_close(&b);
}

/* What a stranger may send: every one of these must break the link with E_FORMAT. */
static void garbage(void **state)
{
    (void)state;
    static const unsigned char bad[][16] = {
        { 2, 0, 1, 0 },                                            /* version 2 */
        { 1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 1 },                    /* 16 MiB and one byte */
        { 1, 0, 2, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },        /* 4 GiB */
        { 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },              /* an unknown flag */
        { 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },                 /* a descriptor that is not there */
        { 1, 0, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0 },                    /* cut within the payload */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int fds[2];
        msg_link b;
        msg m;
        bool got;
        error e;
        assert_ok(msg_pair(fds, err));
        msg_link_open(&b, fds[1]);
        assert_int_equal(write(fds[0], bad[i], sizeof bad[i]), (int)sizeof bad[i]);
        close(fds[0]);
        assert_int_equal(msg_receive(&b, &m, &got, 100, &e), E_FORMAT);
        assert_int_equal(msg_receive(&b, &m, &got, 100, &e), E_NOTFOUND);
        msg_link_close(&b);
    }
    /* a descriptor with a message that is no MSG_OPEN */
    int fds[2];
    assert_ok(msg_pair(fds, err));
    msg_link b;
    msg_link_open(&b, fds[1]);
    unsigned char header[16] = { 1, 0, MSG_TEXT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
    char space[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { header, sizeof header };
    struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fds[0], sizeof(int));
    assert_int_equal(sendmsg(fds[0], &h, 0), 16);
    msg m;
    bool got;
    error e;
    assert_int_equal(msg_receive(&b, &m, &got, 100, &e), E_FORMAT);
    msg_link_close(&b);
    close(fds[0]);
}

/* Random messages written in random cuts arrive as they were; with one byte of a header changed, whatever happens ends
 * in a status. */
static void any_cut(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int round = 0; round < 300; round++) {
        int fds[2];
        msg_link b;
        assert_ok(msg_pair(fds, err));
        msg_link_open(&b, fds[1]);
        unsigned char stream[4096];
        size_t n = 0, lengths[8];
        for (size_t i = 0; i < 8; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            lengths[i] = x % 300;
            unsigned char h[16] = { 1, 0, MSG_TEXT, 0, (unsigned char)i, 0, 0, 0, (unsigned char)lengths[i],
                                    (unsigned char)(lengths[i] >> 8) };
            memcpy(stream + n, h, 16);
            memset(stream + n + 16, 'a' + (int)i, lengths[i]);
            n += 16 + lengths[i];
        }
        bool spoiled = round % 3 == 2;
        if (spoiled)
            stream[x % n] ^= (unsigned char)(1 + (x >> 32) % 255);
        size_t sent = 0, seen = 0;
        status s = OK;
        while (s == OK && (sent < n || seen < 8)) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            size_t k = x % 64 < n - sent ? x % 64 : n - sent;
            assert_int_equal(write(fds[0], stream + sent, k), (int)k);
            sent += k;
            msg m;
            bool got = false;
            error e;
            while ((s = msg_receive(&b, &m, &got, 0, &e)) == OK && got) {
                if (!spoiled) {
                    assert_int_equal(m.request, seen);
                    assert_int_equal(m.length, lengths[seen]);
                    for (size_t j = 0; j < m.length; j++)
                        assert_int_equal(m.data[j], 'a' + (int)seen);
                }
                seen++;
            }
            if (spoiled && sent == n)
                break;
        }
        if (!spoiled)
            assert_int_equal(seen, 8);
        close(fds[0]);
        msg_link_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(descriptors), cmocka_unit_test(large_and_slow),
        cmocka_unit_test(garbage),    cmocka_unit_test(any_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
