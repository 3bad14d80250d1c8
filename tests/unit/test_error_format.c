/* The report of an error: does it read as promised, and stay in its buffer?
 * How: word for word, and with every buffer size. */
#include "task/error.h"

#include "base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

THRUM_KIND(NotFound, THRUM_ERROR, .code = 404);
THRUM_KIND(Db, THRUM_ERROR);

static void request(struct error_context *context)
{
    strcpy(context->path, "main > request");
    context->last = strlen("main > ");
}

static thrum_err *at(const char *where, const thrum_kind *kind,
                     const char *message)
{
    return thrum_fail_(where, kind, "%s", message);
}

static thrum_err *indexed(thrum_err *e, size_t index)
{
    return &error_leaf_indexed(error_leaf(e, 0), index)->head;
}

/* Consumes e. */
static void assert_report(thrum_err *e, const char *report)
{
    char text[4096];
    int length = thrum_err_format(e, text, sizeof(text));

    assert_string_equal(text, report);
    assert_int_equal(length, strlen(report));
    thrum_err_drop(e);
}

static int forget(void **state)
{
    (void)state;
    error_set_context(NULL);
    alloc_fail_never();
    return 0;
}

static void one_failure_is_one_line(void **state)
{
    (void)state;
    error_set_context(request);
    assert_report(
        at("app.c:12", &NotFound, "no user 7"),
        "NotFound: no user 7 [404] at app.c:12, task \"main > request\"\n");
    assert_report(thrum_rc(-ECONNREFUSED),
                  "THRUM_OS: Connection refused (ECONNREFUSED)\n");
    assert_report(thrum_rc(-5000), "THRUM_OS: unknown errno value\n");
}

static void causes_stand_below_each_other(void **state)
{
    (void)state;
    thrum_err *e = thrum_wrap_("db.c:9", thrum_rc(-EPIPE), &Db, "query");
    assert_report(thrum_wrap_("app.c:12", e, &NotFound, "no user 7"),
                  "NotFound: no user 7 [404] at app.c:12\n"
                  "  caused by: Db: query at db.c:9\n"
                  "  caused by: THRUM_OS: Broken pipe (EPIPE)\n");
}

static void leaves_follow_with_job_index_and_causes(void **state)
{
    (void)state;
    thrum_err *e = indexed(at("a.c:1", &Db, "zero"), 0);
    thrum_err *wrapped = thrum_wrap_("a.c:2", thrum_rc(-EPIPE), &THRUM_TIMEOUT,
                                     "no answer");

    e = thrum_err_add(e, indexed(wrapped, 3));
    e = thrum_err_add(e, at("a.c:3", &Db, "rollback"));
    for (int i = 0; i < 20; i++)
        e = thrum_err_add(e, thrum_err_ref(thrum_rc(-EIO)));
    thrum_err *io = thrum_rc(-EIO), *kept = e;
    assert_ptr_equal(thrum_err_at(kept, 15), io);
    char text[4096], *line = text;
    thrum_err_format(e, text, sizeof(text));
    const char *head =
        "job 0: Db: zero at a.c:1\n"
        "and 22 more:\n"
        "  job 3: THRUM_TIMEOUT: no answer (ETIMEDOUT) at a.c:2\n"
        "    caused by: THRUM_OS: Broken pipe (EPIPE)\n"
        "  Db: rollback at a.c:3\n";
    assert_memory_equal(text, head, strlen(head));
    line += strlen(head);
    for (int i = 3; i < 16; i++) {
        const char *eio = "  THRUM_OS: Input/output error (EIO)\n";
        assert_memory_equal(line, eio, strlen(eio));
        line += strlen(eio);
    }
    assert_string_equal(line, "  (7 not kept)\n");
    thrum_err_drop(e);
}

static void a_group_can_be_a_cause(void **state)
{
    (void)state;
    thrum_err *e = thrum_err_add(
        thrum_wrap_("a.c:1", thrum_rc(-EPIPE), &Db, "one"), thrum_rc(-EIO));
    e = thrum_wrap_("a.c:2", e, &NotFound, "outer");
    assert_report(thrum_err_add(e, at("a.c:3", &Db, "beside")),
                  "NotFound: outer [404] at a.c:2\n"
                  "  caused by: Db: one at a.c:1\n"
                  "    caused by: THRUM_OS: Broken pipe (EPIPE)\n"
                  "  and 1 more:\n"
                  "    THRUM_OS: Input/output error (EIO)\n"
                  "and 1 more:\n"
                  "  Db: beside at a.c:3\n");
}

static void a_newline_in_a_message_cannot_pass_for_a_line(void **state)
{
    (void)state;
    thrum_err *e = at("a.c:1", &Db, "one\ntwo\n\nthree\n");
    assert_report(thrum_wrap_("a.c:2", e, &Db, "x\ny"),
                  "Db: x\n"
                  "  | y at a.c:2\n"
                  "  caused by: Db: one\n"
                  "    | two\n"
                  "    | \n"
                  "    | three at a.c:1\n");
}

static void a_chain_that_was_cut_says_so(void **state)
{
    (void)state;
    char text[8192];
    thrum_err *e = thrum_rc(-EPIPE);

    for (int i = 0; i < ERROR_CHAIN_MAX - 1; i++)
        e = thrum_wrap(e, &Db, "link");
    thrum_err_format(e, text, sizeof(text));
    assert_null(strstr(text, "left out"));
    e = thrum_wrap(e, &Db, "link");
    thrum_err_format(e, text, sizeof(text));
    assert_non_null(strstr(text, "\n  (links of this chain were left out)\n"));
    thrum_err_drop(e);
}

static void a_report_is_cut_after_some_hundred_lines(void **state)
{
    (void)state;
    thrum_err *e = thrum_rc(-EPIPE);

    for (int i = 0; i < 12; i++) { /* told in full: 2^12 leaves and more */
        e = thrum_wrap(e, &Db, "link %d", i);
        e = thrum_err_add(thrum_err_ref(e), e);
    }
    int length = thrum_err_format(e, NULL, 0);
    char *text = malloc((size_t)length + 1);
    assert_non_null(text);
    assert_int_equal(thrum_err_format(e, text, (size_t)length + 1), length);
    int lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_in_range(lines, 256, 512);
    assert_non_null(strstr(text, " not shown)\n"));
    free(text);
    thrum_err_drop(e);
}

static void every_buffer_size_holds_what_fits(void **state)
{
    (void)state;
    char full[1024], text[1024];
    thrum_err *e = thrum_wrap(thrum_rc(-EPIPE), &Db, "one\ntwo");
    e = thrum_err_add(e, thrum_rc(-EIO));
    int length = thrum_err_format(e, full, sizeof(full));

    assert_int_equal(thrum_err_format(e, NULL, 0), length);
    for (size_t size = 1; size <= (size_t)length + 2; size++) {
        size_t fits = size - 1 < (size_t)length ? size - 1 : (size_t)length;
        memset(text, '#', sizeof(text));
        assert_int_equal(thrum_err_format(e, text, size), length);
        assert_memory_equal(text, full, fits);
        assert_int_equal(text[fits], '\0');
        assert_int_equal(text[size], '#');
    }
    thrum_err_drop(e);
}

static void formatting_needs_no_memory(void **state)
{
    (void)state;
    char text[256];
    thrum_err *e = thrum_err_add(thrum_rc(-EPIPE), thrum_rc(-EIO));
    alloc_fail_from(1);
    assert_true(thrum_err_format(e, text, sizeof(text)) > 0);
    assert_int_equal(alloc_failures(), 0);
    thrum_err_drop(e);
}

static void what_there_was_no_memory_for_is_named(void **state)
{
    (void)state;
    alloc_fail_from(1);
    thrum_err *first = at("a.c:1", &NotFound, "lost");
    thrum_err *e = at("a.c:2", &Db, "lost as well");
    alloc_fail_never();

    assert_ptr_equal(first, e);
    assert_report(e, "THRUM_NOMEM: no memory for an error (ENOMEM)\n"
                     "  last wanted: Db at a.c:2\n"
                     "  and before:  NotFound at a.c:1\n");
    alloc_fail_from(1);
    for (int i = 0; i < 100; i++)
        e = at("a.c:3", &Db, "lost");
    char text[1024];
    thrum_err_format(e, text, sizeof(text));
    int notes = 0;
    for (const char *c = text; (c = strstr(c, "Db at a.c:3\n")) != NULL; c++)
        notes++;
    assert_int_equal(notes, ERROR_NOTES);
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_failure_is_one_line),
        TEST(causes_stand_below_each_other),
        TEST(leaves_follow_with_job_index_and_causes),
        TEST(a_group_can_be_a_cause),
        TEST(a_newline_in_a_message_cannot_pass_for_a_line),
        TEST(a_chain_that_was_cut_says_so),
        TEST(a_report_is_cut_after_some_hundred_lines),
        TEST(every_buffer_size_holds_what_fits),
        TEST(formatting_needs_no_memory),
        TEST(what_there_was_no_memory_for_is_named),
    };
    return cmocka_run_group_tests_name("error_format", tests, NULL, NULL);
}
