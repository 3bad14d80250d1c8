#include "model_core.h"

#include <inttypes.h>
#include <stdio.h>

enum { EVENTS = 20000, NAMES = 128, NEAR = 4096 };

struct event {
    const char *thread, *operation, *note, *where;
    const volatile void *address;
    uint64_t value;
    int step;
};

struct name {
    uintptr_t address;
    const char *text;
};

static struct event events[EVENTS];
static long event_count;
static struct name names[NAMES];
static int name_count;

void trace_reset(void)
{
    event_count = 0;
    name_count = 0;
}

void model_name(const void *p, const char *text)
{
    if (model_now.tracing && name_count < NAMES)
        names[name_count++] = (struct name){(uintptr_t)p, text};
}

void trace(const char *operation, const volatile void *p, uint64_t value,
           const char *note, const char *where)
{
    if (!model_now.tracing)
        return;
    events[event_count++ % EVENTS] = (struct event){
        self()->name, operation, note, where, p, value, model_now.steps};
}

/* The name at or shortly before the address, so that naming a struct names its
 * fields. */
static void print_address(const volatile void *p)
{
    const struct name *best = NULL;
    uintptr_t address = (uintptr_t)p;
    char text[64];

    for (int i = 0; i < name_count; i++)
        if (names[i].address <= address && address - names[i].address < NEAR &&
            (best == NULL || names[i].address > best->address))
            best = &names[i];
    if (best == NULL)
        snprintf(text, sizeof text, "%#" PRIxPTR, address);
    else if (best->address == address)
        snprintf(text, sizeof text, "%s", best->text);
    else
        snprintf(text, sizeof text, "%s+%#" PRIxPTR, best->text,
                 address - best->address);
    printf(" %-20s", text);
}

static void print_value(uint64_t value)
{
    if ((int64_t)value < 0 && (int64_t)value > -4096)
        printf(" %-16" PRId64, (int64_t)value);
    else if (value < 100000)
        printf(" %-16" PRIu64, value);
    else
        printf(" %#-16" PRIx64, value);
}

static void print_event(const struct event *e)
{
    printf("    %5d %-10s %-14s", e->step, e->thread, e->operation);
    if (e->address != NULL) {
        print_address(e->address);
        print_value(e->value);
    }
    if (e->note != NULL)
        printf(" %s", e->note);
    if (e->where != NULL)
        printf("  %s", e->where);
    putchar('\n');
}

void trace_print(long count)
{
    long kept = event_count < EVENTS ? event_count : EVENTS;
    long first = event_count - (count < kept ? count : kept);

    printf("  the last %ld operations:\n", event_count - first);
    for (long i = first; i < event_count; i++)
        print_event(&events[i % EVENTS]);
}
