/* serve_ask.h: `hearth ps` and `hearth stop`: questions to a server that runs. Part of hearth-serve, the program that
 * links network code. */
#ifndef CLI_SERVE_ASK_H
#define CLI_SERVE_ASK_H

int serve_ps(int argc, char **argv);
int serve_stop(int argc, char **argv);

#endif
