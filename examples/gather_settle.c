/* asyncio.gather(..., return_exceptions=True)
 *
 * Each question waits for its answer, and all wait at the same time. THRUM_SETTLE
 * means that each may fail on its own account and disturbs no other. Its error is
 * in its job; results are where the job has put them.
 *
 * Pitfall: those errors are yours, to handle, to report or to drop; nobody else
 * will tell of them. What gather itself returns says only whether the asking was
 * cut short.
 */
#include <stdio.h>
#include <thrum.h>

enum { QUESTIONS = 20 };

struct question {
    int number, answer;
};

static thrum_err *ask(void *arg)
{
    struct question *question = arg;

    THRUM_TRY(thrum_sleep(THRUM_MS(5)));
    if (question->number % 10 == 7)
        return thrum_fail(&THRUM_ERROR, "nobody knows %d", question->number);
    question->answer = question->number * question->number;
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct question questions[QUESTIONS];
    thrum_job jobs[QUESTIONS];

    (void)arg;
    for (int i = 0; i < QUESTIONS; i++) {
        questions[i] = (struct question){.number = i};
        jobs[i] = (thrum_job){.fn = ask, .arg = &questions[i]};
    }
    THRUM_TRY(thrum_gather(jobs, QUESTIONS, THRUM_SETTLE));
    for (int i = 5; i < QUESTIONS; i += 6) {
        if (jobs[i].err)
            printf("%s\n", thrum_err_msg(jobs[i].err));
        else
            printf("%d squared is %d\n", i, questions[i].answer);
    }
    for (int i = 0; i < QUESTIONS; i++)
        thrum_err_drop(jobs[i].err);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
