/* Inverses modulo q by division steps: four times faster than a power of q - 2.

   Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019), in the form of
   Pieter Wuille's "The safegcd implementation in libsecp256k1 explained", whose time depends on the value. A step acts on
   (f, g), at first (q, x): it divides g by 2, after it made g even by adding or taking off f, and exchanged the two where
   its counter says so. 62 steps at a time are done on the lowest words alone, and gathered in a matrix

       (f, g) := [[u, v], [q, r]] (f, g) / 2^62,

   by which (d, e), with f = d x and g = e x modulo q, go as well. When g is 0, f is 1 or -1, and so d is 1/x or -1/x. */
#ifndef HUREF_INVERT_H
#define HUREF_INVERT_H

#include "words.h"

#if HAVE_INT128

enum { STEP_LIMBS = 5, STEPS = 62 };

#define STEP_MASK (UINT64_MAX >> 2)

__extension__ typedef __int128 int128;

/* sum_i limb[i] 2^(62 i), the last limb signed */
typedef struct {
    int64_t limb[STEP_LIMBS];
} signed_limbs;

typedef struct {
    int64_t u, v, q, r;
} step_matrix;

static const signed_limbs Q_LIMBS = {
    {0x3c208c16d87cfd47, 0x1e05aa45a1c72a34, 0x05045b68181585d9, 0x19139cb84c680a6e, 0x30}};
/* 1 / q mod 2^62 */
#define Q_INVERSE_62 UINT64_C(0x382df87d1b799c77)

/* 62 steps on the lowest 62 bits of f (odd) and g; the counter goes in and out. Several steps at once: all that only
   divide, and then as many as the counter allows before f and g are exchanged. */
static int64_t division_steps(int64_t counter, uint64_t f, uint64_t g, step_matrix *matrix) {
    uint64_t u = 1, v = 0, q = 0, r = 1;
    for (int left = STEPS;;) {
        int zeros = __builtin_ctzll(g | (UINT64_MAX << left)); /* at most `left` */
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        counter -= zeros;
        left -= zeros;
        if (left == 0) break;
        uint64_t mask, multiple, before;
        if (counter < 0) { /* (f, g) := (g, -f) */
            counter = -counter;
            before = f, f = g, g = UINT64_C(0) - before;
            before = u, u = q, q = UINT64_C(0) - before;
            before = v, v = r, r = UINT64_C(0) - before;
            int limit = counter + 1 > left ? left : (int)counter + 1;
            mask = UINT64_MAX >> (64 - limit) & 63;
            multiple = f * g * (f * f - 2) & mask; /* -g / f mod 2^6 */
        } else {
            int limit = counter + 1 > left ? left : (int)counter + 1;
            mask = UINT64_MAX >> (64 - limit) & 15;
            multiple = f + (((f + 1) & 4) << 1);
            multiple = (UINT64_C(0) - multiple) * g & mask; /* -g / f mod 2^4 */
        }
        g += f * multiple;
        q += u * multiple;
        r += v * multiple;
    }
    *matrix = (step_matrix){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return counter;
}

/* (f, g) := matrix (f, g) / 2^62, which is exact */
static void step_values(signed_limbs *f, signed_limbs *g, const step_matrix *m) {
    int128 left = (int128)m->u * f->limb[0] + (int128)m->v * g->limb[0];
    int128 right = (int128)m->q * f->limb[0] + (int128)m->r * g->limb[0];
    for (int i = 1; i < STEP_LIMBS; i++) {
        int64_t a = f->limb[i], b = g->limb[i];
        left = (left >> STEPS) + (int128)m->u * a + (int128)m->v * b;
        right = (right >> STEPS) + (int128)m->q * a + (int128)m->r * b;
        f->limb[i - 1] = (int64_t)((uint64_t)left & STEP_MASK);
        g->limb[i - 1] = (int64_t)((uint64_t)right & STEP_MASK);
    }
    f->limb[STEP_LIMBS - 1] = (int64_t)(left >> STEPS);
    g->limb[STEP_LIMBS - 1] = (int64_t)(right >> STEPS);
}

/* (d, e) := matrix (d, e) / 2^62 modulo q, both in (-2q, q) before and after */
static void step_coefficients(signed_limbs *d, signed_limbs *e, const step_matrix *m) {
    const int64_t *q = Q_LIMBS.limb;
    /* q is added where a value is negative, and then the multiple of q that makes the sum divisible by 2^62 */
    int64_t d_sign = d->limb[STEP_LIMBS - 1] >> 63, e_sign = e->limb[STEP_LIMBS - 1] >> 63;
    int64_t add_left = (m->u & d_sign) + (m->v & e_sign), add_right = (m->q & d_sign) + (m->r & e_sign);
    int128 left = (int128)m->u * d->limb[0] + (int128)m->v * e->limb[0];
    int128 right = (int128)m->q * d->limb[0] + (int128)m->r * e->limb[0];
    add_left -= (int64_t)((Q_INVERSE_62 * (uint64_t)left + (uint64_t)add_left) & STEP_MASK);
    add_right -= (int64_t)((Q_INVERSE_62 * (uint64_t)right + (uint64_t)add_right) & STEP_MASK);
    left += (int128)q[0] * add_left;
    right += (int128)q[0] * add_right;
    for (int i = 1; i < STEP_LIMBS; i++) {
        int64_t a = d->limb[i], b = e->limb[i];
        left = (left >> STEPS) + (int128)m->u * a + (int128)m->v * b + (int128)q[i] * add_left;
        right = (right >> STEPS) + (int128)m->q * a + (int128)m->r * b + (int128)q[i] * add_right;
        d->limb[i - 1] = (int64_t)((uint64_t)left & STEP_MASK);
        e->limb[i - 1] = (int64_t)((uint64_t)right & STEP_MASK);
    }
    d->limb[STEP_LIMBS - 1] = (int64_t)(left >> STEPS);
    e->limb[STEP_LIMBS - 1] = (int64_t)(right >> STEPS);
}

/* value := sign value + times q, limbs again in [0, 2^62) but for the last */
static void add_multiple_of_q(signed_limbs *value, int64_t sign, int64_t times) {
    int64_t carry = 0;
    for (int i = 0; i < STEP_LIMBS; i++) {
        int64_t sum = sign * value->limb[i] + times * Q_LIMBS.limb[i] + carry;
        carry = sum >> STEPS;
        value->limb[i] = i < STEP_LIMBS - 1 ? (int64_t)((uint64_t)sum & STEP_MASK) : sum;
    }
}

/* 1 / value mod q, as plain integers in [0, q); `value` below 2q, and not q. 0 gives 0. */
static __attribute__((unused)) void invert_integer(uint64_t *result, const uint64_t *value) {
    const uint64_t *w = value;
    signed_limbs d = {{0}}, e = {{1}}, f = Q_LIMBS, g;
    g.limb[0] = (int64_t)(w[0] & STEP_MASK);
    g.limb[1] = (int64_t)((w[0] >> 62 | w[1] << 2) & STEP_MASK);
    g.limb[2] = (int64_t)((w[1] >> 60 | w[2] << 4) & STEP_MASK);
    g.limb[3] = (int64_t)((w[2] >> 58 | w[3] << 6) & STEP_MASK);
    g.limb[4] = (int64_t)(w[3] >> 56);
    int64_t counter = -1;
    while (g.limb[0] | g.limb[1] | g.limb[2] | g.limb[3] | g.limb[4]) {
        step_matrix matrix;
        counter = division_steps(counter, (uint64_t)f.limb[0], (uint64_t)g.limb[0], &matrix);
        step_coefficients(&d, &e, &matrix);
        step_values(&f, &g, &matrix);
    }
    /* d from (-2q, q) to (-q, q); times f = +-1; to [0, q) */
    if (d.limb[STEP_LIMBS - 1] < 0) add_multiple_of_q(&d, 1, 1);
    add_multiple_of_q(&d, f.limb[STEP_LIMBS - 1] < 0 ? -1 : 1, 0);
    if (d.limb[STEP_LIMBS - 1] < 0) add_multiple_of_q(&d, 1, 1);
    const int64_t *l = d.limb;
    result[0] = (uint64_t)l[0] | (uint64_t)l[1] << 62;
    result[1] = (uint64_t)l[1] >> 2 | (uint64_t)l[2] << 60;
    result[2] = (uint64_t)l[2] >> 4 | (uint64_t)l[3] << 58;
    result[3] = (uint64_t)l[3] >> 6 | (uint64_t)l[4] << 56;
}

#endif
#endif
