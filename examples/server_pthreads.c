/* A thread per connection, in pthreads
 *
 * The server and its clients, over the loopback. A line is answered in capitals;
 * who then says nothing for a while is hung up on. The threads are detached, as
 * usual, so there must be a count of them, for the limit and to know at the end
 * that all have gone; and accept(2) is woken by shutting the socket down.
 *
 * Pitfall: SO_RCVTIMEO is the time of one recv(2), not of a request. Who sends a
 * byte now and then has a thread for himself for as long as he likes.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CLIENTS = 4, LIMIT = 3, LINE = 64 };

static const struct timeval FIRST = {.tv_sec = 60}, IDLE = {.tv_usec = 10000};

static struct {
    int listener;
    pthread_mutex_t lock;
    pthread_cond_t one_left;
    int live; /* connections */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .one_left = PTHREAD_COND_INITIALIZER};

/* False: the connection is over. */
static bool answer(int fd, struct timeval patience)
{
    char line[LINE];
    size_t length = 0;
    ssize_t n;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) !=
        0)
        return false;
    do {
        n = recv(fd, line + length, sizeof line - length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; /* the end, the time is over, or an error */
        length += (size_t)n;
    } while (length < LINE && memchr(line, '\n', length) == NULL);
    for (size_t i = 0; i < length; i++)
        line[i] = (char)toupper((unsigned char)line[i]);
    for (size_t sent = 0; sent < length; sent += (size_t)n)
        if ((n = send(fd, line + sent, length - sent, MSG_NOSIGNAL)) < 0)
            return false;
    return true;
}

static void count(int change)
{
    pthread_mutex_lock(&server.lock);
    server.live += change;
    pthread_cond_signal(&server.one_left);
    pthread_mutex_unlock(&server.lock);
}

static void wait_until_below(int limit)
{
    pthread_mutex_lock(&server.lock);
    while (server.live >= limit)
        pthread_cond_wait(&server.one_left, &server.lock);
    pthread_mutex_unlock(&server.lock);
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;

    for (struct timeval patience = FIRST; answer(fd, patience); patience = IDLE)
        ;
    close(fd);
    count(-1);
    return NULL;
}

static int start(int fd)
{
    pthread_t thread;
    int rc;

    count(1);
    if ((rc = pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd)) ==
        0) {
        pthread_detach(thread);
    } else {
        close(fd);
        count(-1);
    }
    return rc;
}

/* Returns why it ended: EINVAL, it was shut down. */
static void *accept_all(void *arg)
{
    int rc = 0;

    (void)arg;
    while (rc == 0) {
        wait_until_below(LIMIT);
        int fd = accept(server.listener, NULL, NULL);
        if (fd >= 0)
            rc = start(fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            rc = errno;
    }
    shutdown(server.listener, SHUT_RDWR); /* who is in the queue shall know */
    return (void *)(intptr_t)rc;
}

/* ------------------------------------------------------------------ clients */

struct client {
    struct sockaddr_in address;
    int number;
    char heard[LINE];
    pthread_t thread;
};

static void *talk(void *arg)
{
    struct client *me = arg;
    int fd = socket(AF_INET, SOCK_STREAM, 0), length;
    size_t heard = 0;
    char text[LINE];
    ssize_t n = 1;

    length = snprintf(text, sizeof text, "hello %d\n", me->number);
    if (fd < 0 || connect(fd, (void *)&me->address, sizeof me->address) != 0 ||
        send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        snprintf(me->heard, LINE, "%s\n", strerror(errno));
    else
        for (; n > 0 && heard<LINE - 1; heard += n> 0 ? (size_t)n : 0)
            n = recv(fd, me->heard + heard, LINE - 1 - heard, 0);
    if (fd >= 0)
        close(fd);
    return NULL;
}

static int listen_at(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof *address;

    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (void *)address, size) != 0 ||
        listen(fd, CLIENTS) != 0 ||
        getsockname(fd, (void *)address, &size) != 0) {
        perror("listen");
        return -1; /* the program ends */
    }
    return fd;
}

static int serve_all(struct client *clients)
{
    int started = 0, rc = 0;
    pthread_t acceptor;
    void *why;

    if ((rc = pthread_create(&acceptor, NULL, accept_all, NULL)) != 0)
        return rc;
    for (; rc == 0 && started < CLIENTS; started += rc == 0)
        rc = pthread_create(&clients[started].thread, NULL, talk,
                            &clients[started]);
    for (int i = 0; i < started; i++)
        pthread_join(clients[i].thread, NULL);
    shutdown(server.listener, SHUT_RDWR); /* wakes accept */
    pthread_join(acceptor, &why);
    wait_until_below(1); /* all connections have ended */
    return rc != 0 || (intptr_t)why == EINVAL ? rc : (int)(intptr_t)why;
}

int main(void)
{
    struct client clients[CLIENTS];
    struct sockaddr_in address;
    int rc;

    if ((server.listener = listen_at(&address)) < 0)
        return 1;
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.address = address, .number = i};
    rc = serve_all(clients);
    close(server.listener);
    if (rc != 0) {
        fprintf(stderr, "the server failed: %s\n", strerror(rc));
        return 1;
    }
    for (int i = 0; i < CLIENTS; i++)
        printf("client %d hears %s", i, clients[i].heard);
    puts("nobody is left");
    return 0;
}
