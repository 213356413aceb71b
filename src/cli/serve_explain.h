/* serve_explain.h: `hearth route explain`: what a server would do with a request, and why. Part of hearth-serve, since
 * the answer is the server's own: the request goes through its readers, its recognition and its router. */
#ifndef CLI_SERVE_EXPLAIN_H
#define CLI_SERVE_EXPLAIN_H

int serve_explain(int argc, char **argv);

#endif
