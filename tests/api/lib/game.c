#include "game.h"

unsigned draw(struct user *u, unsigned n)
{
    u->dice = u->dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(u->dice >> 33) % n;
}

void nap(struct user *u)
{
    CHECK(thrum_sleep(draw(u, 3) * THRUM_US(1)) == 0);
}

/* In a scope that ends soon, or when another cancels it, or not at all. */
int trial(struct user *u, int (*take)(struct user *))
{
    thrum_scope s;
    int rc;

    if (draw(u, 4) == 0)
        return take(u);
    thrum_scope_open(&s, .timeout = draw(u, 4) * THRUM_US(1));
    atomic_store(&u->trial, &s);
    rc = take(u);
    atomic_store(&u->trial, NULL);
    while (atomic_load(&u->cancelers) > 0)
        thrum_yield();
    thrum_err_drop(thrum_scope_close(&s, thrum_rc(rc < 0 ? rc : 0)));
    CHECK(rc >= 0 || rc == -ECANCELED || rc == -EPIPE);
    return rc;
}

void cancel_another(struct user *u)
{
    struct user *other = &u->game->users[draw(u, USERS)];
    thrum_scope *s = atomic_load(&other->trial);

    if (s == NULL || draw(u, 2) == 0)
        return;
    atomic_fetch_add(&other->cancelers, 1);
    thrum_scope_cancel(s, NULL);
    atomic_fetch_sub(&other->cancelers, 1);
}

void hand_over(struct user *u, void (*give)(struct user *))
{
    cancel_another(u);
    give(u);
    cancel_another(u);
}

void play(struct game *g, thrum_fn *user)
{
    thrum_job jobs[USERS];

    for (unsigned i = 0; i < USERS; i++) {
        g->users[i].game = g;
        g->users[i].number = i;
        g->users[i].dice = thrum_sim_seed() * USERS + i;
        jobs[i] = (thrum_job){.fn = user, .arg = &g->users[i]};
    }
    expect_ok(thrum_gather(jobs, USERS, THRUM_ALL));
}
