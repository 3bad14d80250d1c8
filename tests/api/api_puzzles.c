/* Do the classic puzzles end, with nobody starving and nothing happening twice?
 * Philosophers who dine, a barber who sleeps, a bathroom for either sex, readers and
 * writers. */
#include "lib/api.h"

/* --- dining philosophers -------------------------------------------------- */

enum { PHILOSOPHERS = 5, MEALS = 2000 };

struct table {
    thrum_mutex forks[PHILOSOPHERS];
    thrum_sem seats;
    _Atomic int holder[PHILOSOPHERS]; /* of each fork */
    _Atomic unsigned next, meals;
    bool by_seats;
};

static void grab(struct table *t, unsigned fork, unsigned who)
{
    thrum_mutex_lock(&t->forks[fork]);
    CHECK(atomic_exchange(&t->holder[fork], (int)who + 1) == 0);
    if (who % 2)
        thrum_yield(); /* with one fork in the hand */
}

static void put_down(struct table *t, unsigned fork)
{
    atomic_store(&t->holder[fork], 0);
    thrum_mutex_unlock(&t->forks[fork]);
}

/* Either four of five may sit down, or the lower fork is taken first. */
static thrum_err *dine(void *arg)
{
    struct table *t = arg;
    unsigned who = atomic_fetch_add(&t->next, 1);
    unsigned left = who, right = (who + 1) % PHILOSOPHERS;

    if (!t->by_seats && right < left) {
        left = right;
        right = who;
    }
    for (size_t i = 0; i < scaled(MEALS) + 2; i++) {
        if (t->by_seats)
            THRUM_TRY(thrum_sem_acquire(&t->seats));
        grab(t, left, who);
        grab(t, right, who);
        atomic_fetch_add(&t->meals, 1);
        put_down(t, right);
        put_down(t, left);
        if (t->by_seats)
            thrum_sem_release(&t->seats);
    }
    return NULL;
}

static thrum_err *serve(void *arg)
{
    for (int by_seats = 0; by_seats < 2; by_seats++) {
        struct table t = {.seats = THRUM_SEM_INIT(PHILOSOPHERS - 1),
                          .by_seats = by_seats};
        thrum_scope s;

        thrum_scope_open(&s, .name = "table");
        for (int i = 0; i < PHILOSOPHERS; i++)
            CHECK(thrum_spawn(&s, dine, &t, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&t.meals) == PHILOSOPHERS * (scaled(MEALS) + 2));
    }
    return arg;
}

static void philosophers_all_eat(void **state)
{
    (void)state;
    on_runtimes(serve, NULL);
}

/* --- sleeping barber ------------------------------------------------------ */

enum { CHAIRS = 3, CUSTOMERS = 600 };

struct shop {
    thrum_mutex lock;
    thrum_sem customers, barber, done, left;
    unsigned waiting; /* lock */
    _Atomic unsigned in_chair, cut, turned_away;
};

static thrum_err *be_barber(void *arg)
{
    struct shop *s = arg;

    for (;;) {
        int rc = thrum_sem_acquire(&s->customers); /* sleeps */

        if (rc < 0)
            return thrum_rc(rc); /* the shop closes */
        thrum_mutex_lock(&s->lock);
        s->waiting--;
        thrum_mutex_unlock(&s->lock);
        thrum_sem_release(&s->barber);
        thrum_yield();
        atomic_fetch_add(&s->cut, 1);
        thrum_sem_release(&s->done);
        THRUM_TRY(thrum_sem_acquire(&s->left)); /* the chair is free */
    }
}

static thrum_err *be_customer(void *arg)
{
    struct shop *s = arg;
    bool stays;

    thrum_mutex_lock(&s->lock);
    stays = s->waiting < CHAIRS;
    s->waiting += stays;
    thrum_mutex_unlock(&s->lock);
    if (!stays) {
        atomic_fetch_add(&s->turned_away, 1);
        return NULL;
    }
    thrum_sem_release(&s->customers);
    THRUM_TRY(thrum_sem_acquire(&s->barber));
    CHECK(atomic_fetch_add(&s->in_chair, 1) == 0);
    THRUM_TRY(thrum_sem_acquire(&s->done));
    CHECK(atomic_fetch_sub(&s->in_chair, 1) == 1);
    thrum_sem_release(&s->left);
    return NULL;
}

static thrum_err *open_shop(void *arg)
{
    struct shop shop = {.waiting = 0};
    thrum_scope barber, street;

    thrum_scope_open(&barber, .name = "barber");
    CHECK(thrum_spawn(&barber, be_barber, &shop, 0) == 0);
    thrum_scope_open(&street, .name = "street");
    for (int i = 0; i < CUSTOMERS; i++) {
        CHECK(thrum_spawn(&street, be_customer, &shop, 0) == 0);
        if (i % 3 == 0)
            thrum_yield();
    }
    expect_ok(thrum_scope_close(&street, NULL));
    thrum_scope_cancel(&barber, "it is evening");
    expect_ok(thrum_scope_close(&barber, NULL));
    CHECK(atomic_load(&shop.cut) + atomic_load(&shop.turned_away) == CUSTOMERS);
    CHECK(shop.waiting == 0 && atomic_load(&shop.cut) > 0);
    return arg;
}

static void each_customer_is_shaved_or_turned_away(void **state)
{
    (void)state;
    on_runtimes(open_shop, NULL);
}

/* --- a bathroom for either sex, for three at once ------------------------- */

enum { ROOM = 3, STAFF = 8, VISITS = 500, STREAK = 6 };

struct bathroom {
    thrum_mutex lock;
    thrum_cond may[2];                              /* one for each sex */
    unsigned inside[2], waiting[2], streak, visits; /* lock */
    _Atomic unsigned next;
};

/* After so many of one sex the other one's turn has come, if any wait. */
static bool may_enter(const struct bathroom *b, int sex)
{
    return b->inside[!sex] == 0 && b->inside[sex] < ROOM &&
           (b->streak < STREAK || b->waiting[!sex] == 0);
}

static int enter(struct bathroom *b, int sex)
{
    int rc = 0;

    thrum_mutex_lock(&b->lock);
    b->waiting[sex]++;
    while (rc == 0 && !may_enter(b, sex))
        rc = thrum_cond_wait(&b->may[sex], &b->lock);
    b->waiting[sex]--;
    b->inside[sex]++;
    b->streak++;
    b->visits++;
    thrum_mutex_unlock(&b->lock);
    return rc;
}

static void leave(struct bathroom *b, int sex)
{
    thrum_mutex_lock(&b->lock);
    CHECK(b->inside[sex] <= ROOM && b->inside[!sex] == 0);
    if (--b->inside[sex] == 0 && (b->waiting[!sex] > 0 || b->streak >= STREAK))
        b->streak = 0;
    thrum_cond_broadcast(&b->may[!sex]);
    thrum_cond_broadcast(&b->may[sex]);
    thrum_mutex_unlock(&b->lock);
}

static thrum_err *visit(void *arg)
{
    struct bathroom *b = arg;
    int sex = (int)(atomic_fetch_add(&b->next, 1) % 2);

    for (size_t i = 0; i < scaled(VISITS) + 2; i++) {
        THRUM_TRY(thrum_rc(enter(b, sex)));
        thrum_yield();
        leave(b, sex);
    }
    return NULL;
}

static thrum_err *open_bathroom(void *arg)
{
    struct bathroom b = {.visits = 0};
    thrum_scope s;

    thrum_scope_open(&s, .name = "bathroom");
    for (int i = 0; i < STAFF; i++)
        CHECK(thrum_spawn(&s, visit, &b, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(b.visits == STAFF * (scaled(VISITS) + 2));
    CHECK(b.inside[0] + b.inside[1] + b.waiting[0] + b.waiting[1] == 0);
    return arg;
}

static void the_sexes_never_meet_and_all_have_been(void **state)
{
    (void)state;
    on_runtimes(open_bathroom, NULL);
}

/* --- readers and writers, from mutexes and semaphores --------------------- */

enum { READERS = 6, WRITERS = 2, TIMES = 1000 };

/* No one starves: all pass the turnstile, a writer keeps it. */
struct library {
    thrum_mutex turnstile, count_lock;
    thrum_sem room;
    unsigned readers; /* count_lock */
    unsigned text[2]; /* room */
};

static thrum_err *be_reader(void *arg)
{
    struct library *l = arg;

    for (size_t i = 0; i < scaled(TIMES) + 2; i++) {
        thrum_mutex_lock(&l->turnstile);
        thrum_mutex_unlock(&l->turnstile);
        thrum_mutex_lock(&l->count_lock);
        if (l->readers++ == 0)
            THRUM_TRY(thrum_sem_acquire(&l->room));
        thrum_mutex_unlock(&l->count_lock);
        CHECK(l->text[0] == l->text[1]);
        thrum_yield();
        CHECK(l->text[0] == l->text[1]);
        thrum_mutex_lock(&l->count_lock);
        if (--l->readers == 0)
            thrum_sem_release(&l->room);
        thrum_mutex_unlock(&l->count_lock);
    }
    return NULL;
}

static thrum_err *be_writer(void *arg)
{
    struct library *l = arg;

    for (size_t i = 0; i < scaled(TIMES) + 2; i++) {
        thrum_mutex_lock(&l->turnstile);
        THRUM_TRY(thrum_sem_acquire(&l->room));
        l->text[0]++;
        thrum_yield();
        l->text[1]++;
        thrum_mutex_unlock(&l->turnstile);
        thrum_sem_release(&l->room);
    }
    return NULL;
}

static thrum_err *open_library(void *arg)
{
    struct library l = {.room = THRUM_SEM_INIT(1)};
    thrum_scope s;

    thrum_scope_open(&s, .name = "library");
    for (int i = 0; i < READERS + WRITERS; i++)
        CHECK(thrum_spawn(&s, i % 4 ? be_reader : be_writer, &l, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(l.text[0] == WRITERS * (scaled(TIMES) + 2));
    return arg;
}

static void readers_and_writers_all_get_in(void **state)
{
    (void)state;
    on_runtimes(open_library, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philosophers_all_eat),
        cmocka_unit_test(each_customer_is_shaved_or_turned_away),
        cmocka_unit_test(the_sexes_never_meet_and_all_have_been),
        cmocka_unit_test(readers_and_writers_all_get_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
