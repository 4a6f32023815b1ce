/* Affine additions that share one inversion, and the kernel made of them, for a file's own FQ_MULTIPLY.

   Included by portable.c and mulx.c, each of which is one kernel. */
#include <stdlib.h>

#include "kernel.h"

enum {
    BATCH = 2048, /* additions to one inversion: what is kept of them stays in the second-level cache */
    CHAINS = 4,   /* products that do not wait for one another */
};

typedef struct {
    fq difference[BATCH]; /* x2 - x1 */
    fq before[BATCH];     /* product of the chain's differences before this one */
} batch_scratch;

/* u[j] := 1 / chain[j], by one inversion */
static void invert_chains(const fq *chain, fq *u) {
    fq ab, cd, all, inverse;
    fq_multiply(&ab, &chain[0], &chain[1]);
    fq_multiply(&cd, &chain[2], &chain[3]);
    fq_multiply(&all, &ab, &cd);
    fq_invert(&inverse, &all);
    fq_multiply(&cd, &cd, &inverse); /* 1 / ab */
    fq_multiply(&ab, &ab, &inverse); /* 1 / cd */
    fq_multiply(&u[0], &cd, &chain[1]);
    fq_multiply(&u[1], &cd, &chain[0]);
    fq_multiply(&u[2], &ab, &chain[3]);
    fq_multiply(&u[3], &ab, &chain[2]);
}

/* (x1, y1) += (x2, y2), given 1 / (x2 - x1) */
INLINE void finish_addition(point *sum, const point *term, const fq *inverse) {
    fq slope, x, y;
    fq_subtract(&y, &term->y, &sum->y);
    fq_multiply(&slope, &y, inverse);
    fq_square(&x, &slope);
    fq_subtract(&x, &x, &sum->x);
    fq_subtract(&x, &x, &term->x);
    fq_subtract(&y, &term->x, &x);
    fq_multiply(&y, &y, &slope);
    fq_subtract(&sum->y, &y, &term->y);
    sum->x = x;
}

/* The loop of a batch; `TERM(i)` is the point that goes to sums[i]. EXCEPTIONAL(i) is done where x1 = x2. */
#define ADD_BATCH(sums, count, TERM, EXCEPTIONAL)                                         \
    do {                                                                                  \
        fq chain[CHAINS] = {FQ_ONE, FQ_ONE, FQ_ONE, FQ_ONE}, u[CHAINS], inverse;          \
        for (size_t i = 0; i < (count); i++) {                                            \
            fq *difference = &scratch->difference[i], *product = &chain[i % CHAINS];      \
            fq_subtract(difference, &(TERM(i))->x, &(sums)[i].x);                         \
            if (__builtin_expect(fq_is_zero(difference), 0)) {                            \
                EXCEPTIONAL(i);                                                           \
                *difference = FQ_ONE;                                                     \
            }                                                                             \
            scratch->before[i] = *product;                                                \
            fq_multiply(product, product, difference);                                    \
        }                                                                                 \
        invert_chains(chain, u);                                                          \
        for (size_t i = (count); i-- > 0;) {                                              \
            fq_multiply(&inverse, &u[i % CHAINS], &scratch->before[i]);                   \
            fq_multiply(&u[i % CHAINS], &u[i % CHAINS], &scratch->difference[i]);         \
            finish_addition(&(sums)[i], TERM(i), &inverse);                               \
        }                                                                                 \
    } while (0)

/* sums[i] += terms[i % period]; false when one was exceptional */
static bool add_periodic(point *sums, const point *terms, size_t period, size_t count, batch_scratch *scratch) {
    bool good = true;
    for (size_t from = 0; from < count; from += BATCH) {
        size_t n = count - from < BATCH ? count - from : BATCH;
#define TERM(i) (&terms[(from + (i)) % period])
#define EXCEPTIONAL(i) good = false
        ADD_BATCH(sums + from, n, TERM, EXCEPTIONAL);
#undef TERM
#undef EXCEPTIONAL
    }
    return good;
}
