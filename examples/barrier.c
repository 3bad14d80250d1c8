/* asyncio.Barrier: all meet before any goes on
 *
 * A simulation in steps: each task computes its part of the next state from the
 * whole of the last one. So all must have finished a step before any begins the
 * next; the last one to come is told so, and does what is to be done once.
 *
 * Pitfall: so many must come as it was made for. If one may leave (an error, a
 * cancel), let its end cancel the others: in a scope with the policy THRUM_ALL, the
 * default, it does.
 */
#include <stdio.h>
#include <thrum.h>

enum { CELLS = 4, STEPS = 8 };

static struct {
    thrum_barrier barrier;
    int cells[2][CELLS];
    int step;
} world = {.barrier = THRUM_BARRIER_INIT(CELLS), .cells = {{1, 0, 0, 0}}};

static thrum_err *live(void *arg)
{
    int me = *(int *)arg, left = (me + CELLS - 1) % CELLS, last;

    for (int i = 0; i < STEPS; i++) {
        const int *now = world.cells[i % 2];

        world.cells[1 - i % 2][me] = now[me] + now[left];
        last = thrum_barrier_wait(&world.barrier);
        THRUM_TRY(last);
        if (last) /* one of them counts */
            world.step++;
    }
    return NULL;
}

static thrum_err *app(void *arg)
{
    thrum_scope s;
    int rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "world");
    for (int i = 0; rc == 0 && i < CELLS; i++)
        rc = thrum_spawn(&s, live, &i, sizeof i);
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    printf("after %d steps:", world.step);
    for (int i = 0; i < CELLS; i++)
        printf(" %d", world.cells[STEPS % 2][i]);
    printf("\n");
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
