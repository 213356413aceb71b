/* address.h: which addresses a configured URL may mean. Looked at when a socket is about to be connected: what counts
 * is the address itself, not what a name meant a moment ago. Any thread. */
#ifndef EGRESS_ADDRESS_H
#define EGRESS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct address_rule {
    uint16_t port;    /* the URL's, or the proxy's; 0: the URL has none that makes sense */
    bool named;       /* the URL says an address itself, or localhost: that is where it goes */
    bool tls;
    bool on_premises;
} address_rule;

/* Of an URL whose form has been checked. */
address_rule address_rule_of(const char *url, bool on_premises);
/* NULL: it may be connected to. Else the reason, as the end of a sentence about the host:
 * - another port than the URL's;
 * - a name that means a loopback, private, link-local, shared or otherwise special address, though the place is remote;
 * - a name that means a public address, though the place is on-premises and nothing is encrypted. */
const char *address_refusal(const address_rule *rule, const struct sockaddr *to);
/* An address of the public internet (the special ranges are those of RFC 6890 and its successors). */
bool address_is_public(const struct sockaddr *a);
/* "192.0.2.7", "2001:db8::7"; NULL: of another family. */
const char *address_text(const struct sockaddr *a, char *out, size_t bytes);

#endif
