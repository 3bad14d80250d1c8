/* fetch: get many pages at once, as far as they can be had in the time there is.
 *
 * Each has a few tries, and each try its time; between them the page waits, longer
 * from time to time and never as long as others do, so that a server that has
 * trouble does not get all of them at once again. One deadline is over all.
 */
/* link: -lhttp_parser */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum.h>
#include <unistd.h>

static const char help[] =
    "Usage: fetch [OPTION]... URL...\n"
    "Get pages by HTTP, each into a file that is named as the page is.\n"
    "\n"
    "  -o DIR      where the files go (.)\n"
    "  -j NUMBER   get so many at a time (10)\n"
    "  -r NUMBER   try again so many times (3)\n"
    "  -t SECONDS  a try may take (10)\n"
    "  -d SECONDS  all together may take (60)\n"
    "\n"
    "The exit status is 1 if there is a page that could not be had.\n";

enum { BUFFER = 16 * 1024, NAME = 256 };

#define FIRST_PAUSE THRUM_MS(50)

THRUM_KIND(Refused, THRUM_ERROR);     /* 404 and the like: for good */
THRUM_KIND(Unavailable, THRUM_ERROR); /* 503 and the like */

struct options {
    const char *folder;
    size_t at_once;
    unsigned tries;
    thrum_time one, all;
};

struct page {
    const struct options *options;
    const char *url;
    char host[NAME], port[8], path[1024]; /* of the address */
    char output[1024];                    /* the file */
    thrum_err *error;                     /* why it could not be had */
    size_t bytes;

    /* of one try */
    int socket, file;
    int failed; /* to write to the file */
    bool whole;
};

/* --- what the parser tells */

/* It is called by the task, so it may wait, as any function may. */
static int on_body(http_parser *p, const char *bytes, size_t n)
{
    struct page *page = p->data;

    page->failed = thrum_write_full(page->file, bytes, n, NULL);
    page->bytes += n;
    return page->failed;
}

static int on_end(http_parser *p)
{
    ((struct page *)p->data)->whole = true;
    return 0;
}

/* What is no page goes into no file. */
static int on_head(http_parser *p)
{
    return p->status_code == HTTP_STATUS_OK ? 0 : 1;
}

static const http_parser_settings settings = {.on_headers_complete = on_head,
                                              .on_body = on_body,
                                              .on_message_complete = on_end};

/* --- a try */

static thrum_err *ask(struct page *page)
{
    char text[2 * NAME + sizeof page->path];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: %s:%s\r\n"
                     "Connection: close\r\n\r\n",
                     page->path, page->host, page->port);

    return thrum_rc(thrum_write_full(page->socket, text, (size_t)n, NULL));
}

static thrum_err *verdict(struct page *page, const http_parser *p)
{
    THRUM_TRY(page->failed);
    if (p->status_code >= 500)
        return thrum_fail(&Unavailable, "%s: %u", page->url, p->status_code);
    if (p->status_code != 0 && p->status_code != HTTP_STATUS_OK)
        return thrum_fail(&Refused, "%s: %u", page->url, p->status_code);
    if (!page->whole)
        return thrum_fail(&Unavailable, "%s: it ended too soon, or is no HTTP",
                          page->url);
    return NULL;
}

static thrum_err *receive(struct page *page)
{
    http_parser p;
    char bytes[BUFFER];
    ssize_t n = 1;

    http_parser_init(&p, HTTP_RESPONSE);
    p.data = page;
    while (n > 0 && !page->whole && HTTP_PARSER_ERRNO(&p) == HPE_OK) {
        n = thrum_read(page->socket, bytes, sizeof bytes);
        THRUM_TRY(n);
        (void)http_parser_execute(&p, &settings, bytes, (size_t)n); /* or end */
    }
    return verdict(page, &p);
}

static thrum_err *close_both(void *arg)
{
    struct page *page = arg;

    if (page->socket >= 0)
        thrum_close(page->socket);
    if (page->file >= 0)
        thrum_close(page->file);
    if (page->file >= 0 && !page->whole)
        unlink(page->output);
    return NULL;
}

static thrum_err *try_once(void *arg)
{
    struct page *page = arg;

    page->socket = page->file = -1;
    page->bytes = 0;
    page->failed = 0;
    page->whole = false;
    thrum_defer(NULL, close_both, page);
    page->socket = thrum_dial(page->host, page->port);
    THRUM_TRY(page->socket);
    THRUM_TRY(ask(page));
    page->file = thrum_open(page->output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    THRUM_TRY(page->file);
    return receive(page);
}

/* --- a page */

static bool is_worth_another_try(thrum_err *e)
{
    return thrum_err_is(e, &Unavailable) || thrum_err_is(e, &THRUM_TIMEOUT) ||
           thrum_err_is(e, &THRUM_OS);
}

/* Twice as long each time, and half of it by chance. */
static int pause_before(unsigned again, unsigned *chance)
{
    thrum_time longest = FIRST_PAUSE << (again < 10 ? again : 10);

    return thrum_sleep(longest / 2 +
                       longest / 2 * (rand_r(chance) % 1000) / 1000);
}

static thrum_err *get(size_t i, void *pages)
{
    struct page *page = &((struct page *)pages)[i];
    unsigned chance = (unsigned)thrum_now() + (unsigned)i;

    for (unsigned again = 0;; again++) {
        page->error = thrum_with(try_once, page, .name = page->url,
                                 .timeout = page->options->one);
        if (!is_worth_another_try(page->error) ||
            again == page->options->tries || pause_before(again, &chance) < 0)
            return NULL; /* what failed is told at the end */
        thrum_err_drop(page->error);
    }
}

/* --- all */

static bool take_field(const struct http_parser_url *u, const char *url,
                       enum http_parser_url_fields field, char *to, size_t room)
{
    size_t n = u->field_data[field].len;

    if (!(u->field_set & 1u << field) || n >= room)
        return false;
    memcpy(to, url + u->field_data[field].off, n);
    to[n] = '\0';
    return true;
}

static bool read_url(struct page *page)
{
    const char *url = page->url, *name;
    struct http_parser_url u;

    http_parser_url_init(&u);
    if (http_parser_parse_url(url, strlen(url), 0, &u) != 0 ||
        strncmp(url, "http://", 7) != 0 ||
        !take_field(&u, url, UF_HOST, page->host, sizeof page->host))
        return false;
    if (!take_field(&u, url, UF_PORT, page->port, sizeof page->port))
        strcpy(page->port, "80");
    if (!take_field(&u, url, UF_PATH, page->path, sizeof page->path))
        strcpy(page->path, "/");
    name = strrchr(page->path, '/') + 1;
    return snprintf(page->output, sizeof page->output, "%s/%s",
                    page->options->folder,
                    *name == '\0' ? "index.html" : name) <
           (int)sizeof page->output;
}

struct all {
    struct options options;
    struct page *pages;
    size_t n;
};

/* How many could not be had. */
static size_t tell(const struct all *all)
{
    size_t failed = 0;

    for (size_t i = 0; i < all->n; i++) {
        const struct page *page = &all->pages[i];

        if (page->error == NULL && page->whole) {
            printf("%s: %zu bytes\n", page->url, page->bytes);
            continue;
        }
        fprintf(stderr, "fetch: %s: %s\n", page->url,
                page->error == NULL ? "no time was left for it"
                                    : thrum_err_msg(page->error));
        thrum_err_drop(page->error);
        failed++;
    }
    return failed;
}

static thrum_err *get_all(void *arg)
{
    struct all *all = arg;
    thrum_err *e = thrum_each(all->n, get, all->pages, .name = "fetch",
                              .limit = all->options.at_once,
                              .timeout = all->options.all);
    size_t failed = tell(all);

    if (failed == 0 && thrum_err_is(e, &THRUM_TIMEOUT)) {
        thrum_err_drop(e);
        return NULL;
    }
    return e == NULL && failed > 0
               ? thrum_fail(&THRUM_ERROR, "%zu pages could not be had", failed)
               : e;
}

static bool read_option(struct options *o, int option)
{
    double number = option == 'o' || option == '?' ? 0 : strtod(optarg, NULL);

    if (option == 'o')
        o->folder = optarg;
    else if (option == 'r' && number >= 0 && number < 1000)
        o->tries = (unsigned)number;
    else if (option == '?' || !(number > 0 && number < 1e6))
        return false;
    else if (option == 'j')
        o->at_once = (size_t)number;
    else
        *(option == 't' ? &o->one : &o->all) = (thrum_time)(number * 1e9);
    return true;
}

int main(int argc, char **argv)
{
    struct all all = {.options = {.folder = ".",
                                  .at_once = 10,
                                  .tries = 3,
                                  .one = THRUM_SEC(10),
                                  .all = THRUM_SEC(60)}};
    bool failed;
    int option;

    while ((option = getopt(argc, argv, "o:j:r:t:d:")) != -1)
        if (!read_option(&all.options, option))
            return fputs(help, stderr), 2;
    all.n = (size_t)(argc - optind);
    all.pages = calloc(all.n, sizeof *all.pages);
    if (all.n == 0 || all.pages == NULL)
        return free(all.pages), fputs(help, stderr), 2;
    for (size_t i = 0; i < all.n; i++) {
        all.pages[i].options = &all.options;
        all.pages[i].url = argv[optind + (int)i];
        if (!read_url(&all.pages[i]))
            return fprintf(stderr, "fetch: %s is no http: address\n",
                           all.pages[i].url),
                   free(all.pages), 2;
    }
    failed = thrum_report(thrum_run(NULL, get_all, &all));
    free(all.pages);
    return failed;
}
