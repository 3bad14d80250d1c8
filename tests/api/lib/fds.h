/* fds.h - what the tests of descriptors share: two ends of every kind. */
#ifndef FDS_H
#define FDS_H

#include "api.h"

#include <sys/socket.h>

enum kind { PIPE, STREAM, TCP, KINDS };

/* fd under a number that nobody else will be given, not even the runtime that reads
 * a file of /proc: once it is closed, it stays closed. */
int fd_aside(int fd);

/* What is written to [1] is read from [0]; the sockets work both ways. Blocking,
 * as a program gets them that knows nothing of this library; both aside. */
void fds_open(enum kind kind, int fds[2]);
void fds_close(int fds[2]);

/* Any bytes, the same for the same number. */
unsigned char byte_at(size_t i);
void fill(unsigned char *bytes, size_t from, size_t n);
void check_bytes(const unsigned char *bytes, size_t from, size_t n);

/* Make it hold as little as the kernel allows, then write until it is full; how
 * much that was. */
size_t fill_up(int fd);

/* The loopback, any port: a listening socket, and its address. */
int listen_tcp(struct sockaddr_storage *addr, socklen_t *size);

/* Of a listening socket, as thrum_dial has it. */
const char *port_of(int fd, char text[8]);

#endif
