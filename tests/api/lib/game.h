/* game.h - users that share things, in simulations; each is given what he asks for, or
 * is canceled at that very moment: by a deadline at the same instant, or by another
 * one between two calls. What is lost then is a deadlock. */
#ifndef GAME_H
#define GAME_H

#include "sims.h"

enum { USERS = 5, TURNS = 5, ROUNDS = 300 };

struct user {
    struct game *game;
    unsigned number;
    uint64_t dice;
    _Atomic(thrum_scope *) trial; /* that others may cancel */
    _Atomic unsigned cancelers;   /* that are about to */
};

/* The first of all that they share. */
struct game {
    struct user users[USERS];
};

/* Less than n. */
unsigned draw(struct user *u, unsigned n);

/* For an instant, or two, or none. */
void nap(struct user *u);

/* What take says, in a scope that ends soon, or when another cancels it, or not at
 * all: not negative, -ECANCELED or -EPIPE. */
int trial(struct user *u, int (*take)(struct user *));

void cancel_another(struct user *u);

/* Give, and have another canceled before or after. */
void hand_over(struct user *u, void (*give)(struct user *));

/* Call the users; all succeed. */
void play(struct game *g, thrum_fn *user);

#endif
