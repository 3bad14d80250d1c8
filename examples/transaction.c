/* async with db.transaction(): commit on success, rollback on failure
 *
 * A deferred function sees how its scope ends: thrum_outcome is NULL, or the
 * error. Its own error counts, too: a commit that fails makes the whole fail.
 * A body that was canceled or timed out is rolled back; one that has succeeded is
 * committed in peace.
 *
 * Pitfall: thrum_outcome is for deferred functions. Elsewhere it is NULL.
 */
#include <stdio.h>
#include <thrum.h>

struct account {
    int balance;
    bool locked;
    int draft; /* what the balance will be */
};

static thrum_err *end(void *arg)
{
    struct account *account = arg;

    if (thrum_outcome()) { /* rollback */
        puts("nothing has happened");
        return NULL;
    }
    if (account->locked)
        return thrum_fail(&THRUM_ERROR, "the commit was refused");
    account->balance = account->draft; /* commit */
    puts("done");
    return NULL;
}

static thrum_err *withdraw(struct account *account, int amount)
{
    account->draft -= amount;
    if (account->draft < 0)
        return thrum_fail(&THRUM_ERROR, "%d missing", -account->draft);
    return NULL;
}

static thrum_err *buy_two(void *arg)
{
    struct account *account = arg;

    account->draft = account->balance; /* begin */
    thrum_defer(NULL, end, account);
    THRUM_TRY(withdraw(account, 30));
    THRUM_TRY(withdraw(account, 30));
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct account accounts[] = {
        {.balance = 100}, {.balance = 40}, {.balance = 100, .locked = true}};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        thrum_err *e = thrum_with(buy_two, &accounts[i], .name = "buy");

        printf("%d left%s%s\n", accounts[i].balance, e ? ": " : "",
               thrum_err_msg(e));
        thrum_err_drop(e);
    }
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
