/* Are spawned tasks called once, with the argument as it was, and in bounded
 * memory? How: counts of calls on 1, 2 and 4 workers; children that need each
 * other to go on. */
#include "lib/api.h"

THRUM_KIND(Wrong, THRUM_ERROR);

/* --- the argument --------------------------------------------------------- */

enum { BIG = 10000 };

struct blob {
    size_t size; /* 0: no copy */
    unsigned char *original;
    _Atomic unsigned *called;
};

static unsigned char byte_at(size_t size, size_t i)
{
    return (unsigned char)(size * 31 + i * 7 + 1);
}

/* The size is known from the bytes: the first two say it. */
static thrum_err *look_at_copy(void *arg)
{
    const unsigned char *bytes = arg;
    size_t size = (size_t)bytes[0] | (size_t)bytes[1] << 8;

    CHECK((uintptr_t)arg % _Alignof(max_align_t) == 0);
    for (size_t i = 2; i < size; i++)
        CHECK(bytes[i] == byte_at(size, i));
    return NULL;
}

static void fill(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(size, i);
    bytes[0] = (unsigned char)size;
    bytes[1] = (unsigned char)(size >> 8);
}

static thrum_err *copies(void *arg)
{
    static const size_t sizes[] = {2, 3, 8, 63, 64, 65, 66, 100, 4096, BIG};
    unsigned char *bytes = arg;
    thrum_scope s;

    thrum_scope_open(&s, .name = "copies");
    for (int turn = 0; turn < 30; turn++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            fill(bytes + 1, sizes[i]); /* not aligned */
            CHECK(thrum_spawn(&s, look_at_copy, bytes + 1, sizes[i]) == 0);
            memset(bytes, 0xA5, BIG + 1); /* the copy was made before */
        }
    CHECK(thrum_spawn(&s, look_at_copy, &(unsigned char[]){3, 0, byte_at(3, 2)},
                      3) == 0); /* commas, no parentheses */
    return thrum_scope_close(&s, NULL);
}

static void the_argument_is_copied_and_aligned(void **state)
{
    unsigned char *bytes = malloc(BIG + 1);

    (void)state;
    on_runtimes(copies, bytes);
    free(bytes);
}

static thrum_err *look_at_original(void *arg)
{
    struct blob *b = arg;

    CHECK(b->original == (unsigned char *)arg);
    atomic_fetch_add(b->called, 1);
    return NULL;
}

static thrum_err *look_at_null(void *arg)
{
    return arg == NULL ? NULL : thrum_fail(&Wrong, "not NULL");
}

static thrum_err *no_copies(void *arg)
{
    _Atomic unsigned called = 0;
    struct blob blob = {0, (unsigned char *)&blob, &called};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "no copies");
    for (int i = 0; i < 100; i++) {
        CHECK(thrum_spawn(&s, look_at_original, &blob, 0) == 0);
        CHECK(thrum_spawn(&s, look_at_null, NULL, 0) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&called) == 100);
    return NULL;
}

static void without_a_size_the_child_gets_the_argument_itself(void **state)
{
    (void)state;
    on_runtimes(no_copies, NULL);
}

/* --- scopes in scopes ----------------------------------------------------- */

struct node {
    unsigned depth, fan;
    _Atomic unsigned *nodes, *open, *most; /* begun; and not ended */
};

static thrum_err *visit(void *arg)
{
    const struct node *n = arg;
    struct node child = *n;
    thrum_scope s;

    atomic_fetch_add(n->nodes, 1);
    if (atomic_fetch_add(n->open, 1) >= atomic_load(n->most))
        atomic_store(n->most, atomic_load(n->open));
    child.depth--;
    thrum_scope_open(&s, .name = "node");
    for (unsigned i = 0; i < n->fan && n->depth > 0; i++)
        CHECK(thrum_spawn(&s, visit, &child, sizeof child) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    atomic_fetch_sub(n->open, 1);
    return NULL;
}

static void visit_tree(unsigned depth, unsigned fan, unsigned total)
{
    _Atomic unsigned nodes = 0, open = 0, most = 0;
    struct node root = {depth, fan, &nodes, &open, &most};

    expect_ok(visit(&root));
    CHECK(atomic_load(&nodes) == total);
    CHECK(SANITIZED || workers > 1 || atomic_load(&most) == depth + 1);
}

static thrum_err *visit_trees(void *arg)
{
    (void)arg;
    visit_tree(5, 4, 1 + 4 + 16 + 64 + 256 + 1024);
    visit_tree(2, 200, 1 + 200 + 40000); /* more in the queue than a burst */
    return NULL;
}

static void a_tree_of_scopes_is_walked_depth_first(void **state)
{
    (void)state;
    on_runtimes(visit_trees, NULL);
}

/* Many times what fits onto a stack. */
static thrum_err *visit_chain(void *arg)
{
    _Atomic unsigned nodes = 0, open = 0, most = 0;
    struct node root = {20000 / SCALE, 1, &nodes, &open, &most};

    (void)arg;
    expect_ok(visit(&root));
    CHECK(atomic_load(&nodes) == root.depth + 1);
    return NULL;
}

static void a_chain_of_scopes_needs_no_larger_stack(void **state)
{
    (void)state;
    on_threads(visit_chain, NULL);
}

/* --- all run, and in bounded memory --------------------------------------- */

enum { CHILDREN = 300 };

static thrum_err *meet(void *arg)
{
    gate_meet(*(struct gate **)arg);
    return NULL;
}

static thrum_err *children_meet(void *arg)
{
    struct gate g, *at = &g;
    unsigned n = SCALE == 50 ? 60 : CHILDREN;
    thrum_scope s;

    (void)arg;
    gate_init(&g, n + 1);
    thrum_scope_open(&s, .name = "meeting");
    for (unsigned i = 0; i < n; i++)
        CHECK(thrum_spawn(&s, meet, &at, sizeof at) == 0);
    gate_meet(&g);
    return thrum_scope_close(&s, NULL);
}

static void children_that_poll_for_each_other_all_run(void **state)
{
    (void)state;
    on_runtimes(children_meet, NULL);
}

static thrum_err *keep_worker(void *arg)
{
    gate_block(*(struct gate **)arg);
    return NULL;
}

static thrum_err *workers_meet(void *arg)
{
    (void)arg;
    for (size_t turn = 0; turn < scaled(400) + 4; turn++) {
        struct gate g, *at = &g;
        thrum_scope s;

        gate_init(&g, workers);
        thrum_scope_open(&s, .name = "blocking");
        for (unsigned i = 1; i < workers; i++)
            CHECK(thrum_spawn(&s, keep_worker, &at, sizeof at) == 0);
        if (turn % 2 == 0)
            gate_block(&g);
        else
            CHECK(thrum_spawn(&s, keep_worker, &at, sizeof at) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        if (turn % 64 == 0)
            CHECK(thrum_sleep(THRUM_US(200)) == 0); /* let workers park */
    }
    return NULL;
}

static void children_that_keep_their_workers_run_at_once(void **state)
{
    (void)state;
    on_threads(workers_meet, NULL);
}

/* Its worker takes turns, but never that child. */
static thrum_err *busy_beside_a_child(void *arg)
{
    (void)arg;
    for (size_t turn = 0; workers > 1 && turn < scaled(50) + 4; turn++) {
        struct gate g, *at = &g;
        thrum_scope s, inner;

        gate_init(&g, 2);
        thrum_scope_open(&s, .name = "outer");
        CHECK(thrum_spawn(&s, keep_worker, &at, sizeof at) == 0);
        while (atomic_load(&g.here) == 0) {
            thrum_scope_open(&inner, .name = "empty");
            expect_ok(thrum_scope_close(&inner, NULL));
        }
        gate_block(&g);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void a_child_is_found_whatever_its_spawner_does(void **state)
{
    (void)state;
    on_threads(busy_beside_a_child, NULL);
}

static thrum_err *add(void *arg)
{
    atomic_fetch_add_explicit(*(_Atomic unsigned **)arg, 1,
                              memory_order_relaxed);
    return NULL;
}

struct bytes {
    _Atomic unsigned *sum;
    char more[200];
};

static thrum_err *add_with_more(void *arg)
{
    struct bytes *b = arg;

    atomic_fetch_add_explicit(b->sum, 1, memory_order_relaxed);
    return NULL;
}

static void spawn_many(size_t n)
{
    _Atomic unsigned sum = 0;
    struct bytes bytes = {&sum, ""};
    thrum_scope s;

    thrum_scope_open(&s, .name = "many");
    for (size_t i = 0; i < n; i++) {
        CHECK(thrum_spawn(&s, add, &bytes.sum, sizeof bytes.sum) == 0);
        CHECK(thrum_spawn(&s, add_with_more, &bytes, sizeof bytes) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&sum) == 2 * n);
}

/* Records of all of them at once would be 25 MB. */
static thrum_err *spawn_in_little_memory(void *arg)
{
    size_t before;

    (void)arg;
    spawn_many(1000);
    before = footprint().resident_kib;
    spawn_many(scaled(100000));
    CHECK(SANITIZED || is_emulated() ||
          footprint().resident_kib < before + 4096);
    return NULL;
}

static void a_long_loop_of_spawns_holds_little_memory(void **state)
{
    (void)state;
    on_threads(spawn_in_little_memory, NULL);
}

/* A spawner that lets others run keeps its stack: those of a tree are many. */
struct leafy {
    thrum_scope *all;
    unsigned depth;
    _Atomic unsigned *open, *most; /* begun, and not ended */
};

static thrum_err *grow(void *arg)
{
    const struct leafy *l = arg;
    struct leafy child = *l;
    unsigned open = atomic_fetch_add(l->open, 1) + 1;

    if (open > atomic_load(l->most))
        atomic_store(l->most, open);
    child.depth--;
    for (unsigned i = 0; i < 2 && l->depth > 0; i++)
        CHECK(thrum_spawn(l->all, grow, &child, sizeof child) == 0);
    atomic_fetch_sub(l->open, 1);
    return NULL;
}

static thrum_err *grow_in_one_scope(void *arg)
{
    _Atomic unsigned open = 0, most = 0;
    thrum_scope s;
    struct leafy root = {&s, 12, &open, &most};

    (void)arg;
    thrum_scope_open(&s, .name = "tree");
    expect_ok(grow(&root));
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&most) < (2U << 12) / 16);
    return NULL;
}

static void a_tree_of_spawns_into_one_scope_holds_few_stacks(void **state)
{
    (void)state;
    on_threads(grow_in_one_scope, NULL);
}

struct forest {
    thrum_scope all;
    _Atomic unsigned waiting, most; /* spawned and not begun */
};

struct tree {
    struct forest *in;
    unsigned depth;
};

static thrum_err *branch(void *arg)
{
    const struct tree *t = arg;
    struct tree child = {t->in, t->depth - 1};
    unsigned waiting = atomic_fetch_sub(&t->in->waiting, 1) + 1;

    if (waiting > atomic_load(&t->in->most))
        atomic_store(&t->in->most, waiting);
    atomic_fetch_add(&t->in->waiting, t->depth > 0 ? 2 : 0);
    for (unsigned i = 0; i < 2 && t->depth > 0; i++)
        CHECK(thrum_spawn(&t->in->all, branch, &child, sizeof child) == 0);
    return NULL;
}

/* As a task group that is passed down a recursion. */
static thrum_err *plant_in_one_scope(void *arg)
{
    static struct forest f;
    struct tree root = {&f, 16};

    (void)arg;
    atomic_store(&f.waiting, 1);
    atomic_store(&f.most, 0);
    thrum_scope_open(&f.all, .name = "forest");
    CHECK(thrum_spawn(&f.all, branch, &root, sizeof root) == 0);
    expect_ok(thrum_scope_close(&f.all, NULL));
    CHECK(atomic_load(&f.waiting) == 0);
    if (!SANITIZED) /* there all may take turns */
        CHECK(atomic_load(&f.most) < (1U << 16) / 3);
    return NULL;
}

static void a_large_tree_in_one_scope_is_not_walked_by_its_breadth(void **state)
{
    (void)state;
    on_threads(plant_in_one_scope, NULL);
}

static thrum_err *runs_before_close(void *arg)
{
    _Atomic unsigned sum = 0, *at = &sum;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "meanwhile");
    CHECK(thrum_spawn(&s, add, &at, sizeof at) == 0);
    await_count(&sum, 1);
    CHECK(thrum_spawn(&s, add, &at, sizeof at) == 0);
    while (atomic_load(&sum) < 2)
        CHECK(thrum_sleep(THRUM_US(50)) == 0);
    return thrum_scope_close(&s, NULL);
}

static void children_run_while_their_parent_waits(void **state)
{
    (void)state;
    on_runtimes(runs_before_close, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_argument_is_copied_and_aligned),
        cmocka_unit_test(without_a_size_the_child_gets_the_argument_itself),
        cmocka_unit_test(children_that_poll_for_each_other_all_run),
        cmocka_unit_test(children_that_keep_their_workers_run_at_once),
        cmocka_unit_test(a_child_is_found_whatever_its_spawner_does),
        cmocka_unit_test(a_tree_of_scopes_is_walked_depth_first),
        cmocka_unit_test(a_chain_of_scopes_needs_no_larger_stack),
        cmocka_unit_test(a_long_loop_of_spawns_holds_little_memory),
        cmocka_unit_test(a_tree_of_spawns_into_one_scope_holds_few_stacks),
        cmocka_unit_test(
            a_large_tree_in_one_scope_is_not_walked_by_its_breadth),
        cmocka_unit_test(children_run_while_their_parent_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
