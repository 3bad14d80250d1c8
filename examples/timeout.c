/* async with asyncio.timeout(0.005), mapped to an error of one's own: 504
 *
 * A scope with a timeout is a deadline over all that happens inside it. When it
 * passes, every wait in there ends, and closing the scope returns an error of
 * kind THRUM_TIMEOUT. A body that succeeds late has still succeeded.
 *
 * Pitfall: ask for THRUM_TIMEOUT, not for THRUM_CANCELED. That one means that
 * somebody outside wants us to stop, and must be handed on.
 */
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(App, THRUM_ERROR, .code = 500);
THRUM_KIND(GatewayTimeout, App, .code = 504);

static thrum_err *http_get(const char *url, const char **answer)
{
    if (url[0] == 's') /* "slow.example" */
        THRUM_TRY(thrum_sleep(THRUM_SEC(3600)));
    *answer = "hello";
    return NULL;
}

static thrum_err *fetch(const char *url, const char **answer)
{
    thrum_scope s;

    thrum_scope_open(&s, .timeout = THRUM_MS(5), .name = "fetch");
    thrum_err *e = thrum_scope_close(&s, http_get(url, answer));
    if (thrum_err_is(e, &THRUM_TIMEOUT))
        return thrum_wrap(e, &GatewayTimeout, "%s does not answer", url);
    return e;
}

static thrum_err *app(void *arg)
{
    static const char *const urls[] = {"fast.example", "slow.example"};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        const char *answer;
        thrum_err *e = fetch(urls[i], &answer);

        if (e)
            printf("%d: %s\n", thrum_err_code(e), thrum_err_msg(e));
        else
            printf("200: %s\n", answer);
        thrum_err_drop(e);
    }
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
