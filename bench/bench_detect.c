/* bench_detect: what the detectors and the fingerprints get through, in MB/s on one thread, without a tagger. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "privacy/detect.h"
#include "privacy/fingerprint.h"

enum { BYTES = 8 << 20, RUNS = 3 };
static char text[BYTES];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The pieces in turn, each with a number of its own, until the text is full. */
static void fill(const char *const *pieces, size_t n)
{
    char one[512];
    size_t at = 0;
    for (size_t i = 0; at < BYTES; i++) {
        size_t length = (size_t)snprintf(one, sizeof one, pieces[i % n], (int)(i * 7919 % 100000));
        memcpy(text + at, one, length < BYTES - at ? length : BYTES - at);
        at += length;
    }
}

static void measure(const detector *d, const char *what, const char *const *pieces, size_t n)
{
    double best = 1e9;
    size_t found = 0;
    fill(pieces, n);
    for (int i = 0; i < RUNS; i++) {
        detect_report r;
        error e;
        double start = now();
        if (detect_scan(d, text, BYTES, NULL, &r, &e)) {
            printf("%s: %s\n", what, e.text);
            exit(1);
        }
        best = now() - start < best ? now() - start : best;
        found = r.n_all;
        detect_report_clear(&r);
    }
    printf("%-44s %7.1f MB/s  (%zu findings)\n", what, BYTES / best / 1e6, found);
}

static void measure_fingerprints(void)
{
    fingerprint *f = NULL;
    fingerprint_match m;
    error e;
    double start = now();
    if (fingerprint_open(&f, "a key for the benchmark", 23, BYTES, &e) || fingerprint_add(f, text, BYTES, &e))
        exit(1);
    double middle = now();
    if (fingerprint_query(f, text, BYTES, &m, &e))
        exit(1);
    printf("%-44s %7.1f MB/s\n%-44s %7.1f MB/s\n", "fingerprints: adding", BYTES / (middle - start) / 1e6,
           "fingerprints: asking", BYTES / (now() - middle) / 1e6);
    fingerprint_close(&f);
}

int main(void)
{
    static const char *const prose[] = {
        "The quarterly review of the northern region was moved to room %d because of the works on the second floor. ",
        "Nobody objected, and so the committee agreed to publish the minutes without further changes on page %d.\n",
        "How do I change the address on my account, and how long does a transfer of %d crowns take to arrive? ",
    };
    static const char *const german[] = {
        "Die Prüfung der nördlichen Filialen wurde verschoben, weil im größeren Gebäude noch %d Räume fehlen. ",
        "Größe, Gewicht und Äußeres stehen in der Übersicht auf Seite %d; Änderungen bitte schriftlich.\n",
    };
    static const char *const chinese[] = { "由于二楼正在施工，北部地区的季度审查会议改到第%d号会议室举行。没有人反对，委员会同意公布会议记录。\n" };
    static const char *const json[] = {
        "{\"id\": %d, \"text\": \"first line\\nsecond line with \\\"quotes\\\"\", \"score\": 0.25, \"tags\": [\"a\", \"b\"]},\n",
    };
    static const char *const personal[] = {
        "Order %05d of Joe Doe, joe.doe@example.org, +49 30 1234567, card 4111 1111 1111 1111, IP 192.168.1.17. ",
    };
    static const char *const digits[] = { "%d 4111 1111 1111 1111 23 45 67 " };
    static const char words[] = "Project Blue Heron\nMüller GmbH\nnorth star\nquarterly figures\n";
    detector *plain = NULL, *with_words = NULL;
    error e;
    if (detector_open(&plain, NULL, 0, NULL, &e) || detector_open(&with_words, words, sizeof words - 1, "words", &e))
        return 1;
    measure(plain, "English prose", prose, ARRAY_LEN(prose));
    measure(with_words, "English prose, with a dictionary", prose, ARRAY_LEN(prose));
    measure(plain, "German prose", german, ARRAY_LEN(german));
    measure(plain, "Chinese prose", chinese, ARRAY_LEN(chinese));
    measure(plain, "JSON with escapes (looked at twice)", json, ARRAY_LEN(json));
    measure(plain, "a finding in every 20 bytes", personal, ARRAY_LEN(personal));
    measure(plain, "numbers and nothing else", digits, ARRAY_LEN(digits));
    fill(prose, ARRAY_LEN(prose));
    measure_fingerprints();
    detector_close(&plain);
    detector_close(&with_words);
    return 0;
}
