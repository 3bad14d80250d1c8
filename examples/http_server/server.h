/* server.h - http_server: the files below a directory, by HTTP/1.1. */
#ifndef SERVER_H
#define SERVER_H

#include <http_parser.h>
#include <sys/types.h>
#include <thrum.h>

enum {
    HEAD_MOST = 16 * 1024, /* bytes of a request's head */
    TARGET_MOST = 2048,    /* of what it asks for */
    BUFFER = 8 * 1024,
};

struct options {
    const char *host, *port;
    int root; /* the directory */
    size_t connections;
    thrum_time request; /* what one may take, to the last byte of its answer */
    thrum_time idle;    /* and what may pass until it begins */
};

struct request {
    bool done;       /* all of it is there */
    unsigned status; /* 0: it can be answered; else why not */
    bool head;       /* HEAD */
    bool stays;      /* there may be others on this connection */
    bool has_host;   /* as HTTP/1.1 wants it */
    char target[TARGET_MOST];
    size_t target_bytes;
    char name[16], range[64]; /* the header under way; that of this name */
    size_t name_bytes, range_bytes;
    bool in_value;
};

struct connection {
    const struct options *options;
    int fd;
    http_parser parser;
    struct request request;
    char bytes[BUFFER]; /* read, and not parsed: from..to */
    size_t from, to;
};

/* --- request.c */

void request_init(struct connection *c);

/* Wait for the first bytes of the next one, if there are none. -ENODATA: there is
 * no other. */
int request_await(struct connection *c);

/* Read and parse it. What is wrong with it is its status. */
int request_read(struct connection *c);

/* The path of a file that it asks for, in place: with no leading slash, "." for
 * none. False: there is no such path. */
bool request_path(struct request *r);

/* --- response.c */

/* Answer it. An error: the connection is of no use any more. */
int respond(struct connection *c);

/* Without a file. */
int respond_error(struct connection *c, unsigned status);

#endif
