/* BN254's base field, q = 0x30644e72...fd47, in Montgomery form with R = 2^256: its constants and its product.

   Four 64-bit words, least significant first. A value may be any representative below 2q unless said otherwise
   ("canonical": below q). Nothing here takes constant time: see docs/threat-model.md. */
#ifndef HUREF_WORDS_H
#define HUREF_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__ /* gcc takes minutes for sanitized code that is inlined everywhere */
#define INLINE static __attribute__((unused))
#else
#define INLINE static inline __attribute__((always_inline, unused))
#endif

#if defined(__SIZEOF_INT128__) && !defined(HUREF_NO_INT128)
__extension__ typedef unsigned __int128 uint128;
#define HAVE_INT128 1
#else
#define HAVE_INT128 0
#endif
#if defined(__x86_64__) && !defined(HUREF_NO_INT128)
#include <x86intrin.h> /* _addcarry_u64: gcc makes much better code of it than of 128-bit sums */
#define HAVE_CARRY 1
#else
#define HAVE_CARRY 0
#endif

typedef struct {
    uint64_t word[4];
} fq;

/* An affine point of y^2 = x^3 + 3, never the identity. */
typedef struct {
    fq x, y;
} point;

static const fq Q = {{0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029}};
static const fq TWICE_Q = {{0x7841182db0f9fa8e, 0x2f02d522d0e3951a, 0x70a08b6d0302b0bb, 0x60c89ce5c2634053}};
/* -1 / q mod 2^64 */
#define MINUS_Q_INVERSE UINT64_C(0x87d20782e4866389)
static const fq FQ_ZERO = {{0, 0, 0, 0}};
/* R mod q and R^2 mod q */
static const fq FQ_ONE = {{0xd35d438dc58f0d9d, 0x0a78eb28f5c70b3d, 0x666ea36f7879462c, 0x0e0a77c19a07df2f}};
static const fq R_SQUARED = {{0xf32cfc5b538afa89, 0xb5e71911d44501fb, 0x47ab1eff0a417ff6, 0x06d89f71cab8351f}};

/* a b = high 2^64 + result */
INLINE uint64_t multiply_words(uint64_t a, uint64_t b, uint64_t *high) {
#if HAVE_INT128
    uint128 product = (uint128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return (other << 32) | (uint32_t)low;
#endif
}

/* a + b + carry, carry 0 or 1 */
INLINE uint64_t add_carry(uint64_t a, uint64_t b, uint64_t *carry) {
#if HAVE_CARRY
    unsigned long long sum;
    *carry = _addcarry_u64((unsigned char)*carry, a, b, &sum);
    return sum;
#else
    uint64_t sum = a + *carry;
    uint64_t over = sum < a;
    sum += b;
    *carry = over + (sum < b);
    return sum;
#endif
}

/* a - b - borrow, borrow 0 or 1 */
INLINE uint64_t subtract_borrow(uint64_t a, uint64_t b, uint64_t *borrow) {
#if HAVE_CARRY
    unsigned long long difference;
    *borrow = _subborrow_u64((unsigned char)*borrow, a, b, &difference);
    return difference;
#else
    uint64_t difference = a - *borrow;
    uint64_t under = difference > a;
    uint64_t result = difference - b;
    *borrow = under + (result > difference);
    return result;
#endif
}

/* sum[0..4] += a b, where sum[4] is new: low halves of the four products first, then high halves */
INLINE void add_row(uint64_t *sum, const uint64_t *a, uint64_t b) {
    uint64_t low[4], high[4], carry = 0;
    for (int j = 0; j < 4; j++) low[j] = multiply_words(a[j], b, &high[j]);
    for (int j = 0; j < 4; j++) sum[j] = add_carry(sum[j], low[j], &carry);
    sum[4] = carry;
    carry = 0;
    for (int j = 0; j < 4; j++) sum[j + 1] = add_carry(sum[j + 1], high[j], &carry);
}

/* t + m q with m such that t[0] becomes 0; `last` is what t[4] carries on to the next step */
INLINE void reduce_step(uint64_t *t, uint64_t *last) {
    uint64_t m = t[0] * MINUS_Q_INVERSE, low[4], high[4], carry = t[0] != 0;
    for (int j = 0; j < 4; j++) low[j] = multiply_words(m, Q.word[j], &high[j]);
    for (int j = 1; j < 4; j++) t[j] = add_carry(t[j], low[j], &carry);
    high[3] += carry; /* q's top word is small: no carry */
    carry = 0;
    for (int j = 0; j < 4; j++) t[j + 1] = add_carry(t[j + 1], high[j], &carry);
    uint64_t before = carry;
    carry = 0;
    t[4] = add_carry(t[4], *last, &carry);
    *last = before + carry;
}

/* a b / R mod q, below (a b / (q R) + 1) q: below 1.76 q for a, b < 2q.

   The whole product first, then four steps of reduction: gcc's best form of those tried. */
INLINE void fq_multiply_portable(fq *result, const fq *left, const fq *right) {
    uint64_t t[8] = {0}, last = 0;
    for (int i = 0; i < 4; i++) add_row(t + i, left->word, right->word[i]);
    for (int i = 0; i < 4; i++) reduce_step(t + i, &last);
    memcpy(result->word, t + 4, sizeof result->word);
}

#endif
