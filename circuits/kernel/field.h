/* BN254's base field, q = 0x30644e72...fd47, in Montgomery form with R = 2^256.

   Four 64-bit words, least significant first. A value may be any representative below 2q unless said otherwise
   ("canonical": below q). Nothing here takes constant time: see docs/threat-model.md. */
#ifndef HUREF_FIELD_H
#define HUREF_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))

#if defined(__SIZEOF_INT128__) && !defined(HUREF_NO_INT128)
__extension__ typedef unsigned __int128 uint128;
#define HAVE_INT128 1
#else
#define HAVE_INT128 0
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

/* a b + c + carry = carry' 2^64 + result: never more than 128 bits. */
INLINE uint64_t multiply_add(uint64_t a, uint64_t b, uint64_t c, uint64_t *carry) {
#if HAVE_INT128
    uint128 sum = (uint128)a * b + c;
    sum += *carry;
    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    uint64_t high = a1 * b1 + (middle >> 32) + (other >> 32);
    low = (other << 32) | (uint32_t)low;
    low += c;
    high += low < c;
    low += *carry;
    high += low < *carry;
    *carry = high;
    return low;
#endif
}

/* a + b + carry, carry 0 or 1 */
INLINE uint64_t add_carry(uint64_t a, uint64_t b, uint64_t *carry) {
#if HAVE_INT128
    uint128 sum = (uint128)a + b + *carry;
    *carry = (uint64_t)(sum >> 64);
    return (uint64_t)sum;
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
#if HAVE_INT128
    uint128 difference = (uint128)a - b - *borrow;
    *borrow = (uint64_t)(difference >> 64) & 1;
    return (uint64_t)difference;
#else
    uint64_t difference = a - *borrow;
    uint64_t under = difference > a;
    uint64_t result = difference - b;
    *borrow = under + (result > difference);
    return result;
#endif
}

/* a b / R mod q, below (a b / (q R) + 1) q: below 1.76 q for a, b < 2q.

   The whole product first, then four steps of reduction: gcc's best form of those tried. */
INLINE void fq_multiply_portable(fq *result, const fq *left, const fq *right) {
    const uint64_t *a = left->word, *b = right->word;
    uint64_t t[8] = {0}, carry, last = 0;
    for (int i = 0; i < 4; i++) {
        carry = 0;
        for (int j = 0; j < 4; j++) t[i + j] = multiply_add(a[j], b[i], t[i + j], &carry);
        t[i + 4] = carry;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t m = t[i] * MINUS_Q_INVERSE;
        carry = 0;
        multiply_add(m, Q.word[0], t[i], &carry); /* a multiple of 2^64 */
        for (int j = 1; j < 4; j++) t[i + j] = multiply_add(m, Q.word[j], t[i + j], &carry);
        t[i + 4] = add_carry(t[i + 4], carry, &last);
    }
    memcpy(result->word, t + 4, sizeof result->word);
}

/* a file may bring its own (mulx.c) */
#ifndef FQ_MULTIPLY
#define FQ_MULTIPLY fq_multiply_portable
#endif

INLINE void fq_multiply(fq *result, const fq *left, const fq *right) { FQ_MULTIPLY(result, left, right); }

INLINE void fq_square(fq *result, const fq *value) { FQ_MULTIPLY(result, value, value); }

/* a - b mod 2q, for a, b < 2q */
INLINE void fq_subtract(fq *result, const fq *left, const fq *right) {
    uint64_t borrow = 0, carry = 0, difference[4];
    for (int i = 0; i < 4; i++) difference[i] = subtract_borrow(left->word[i], right->word[i], &borrow);
    uint64_t mask = UINT64_C(0) - borrow;
    for (int i = 0; i < 4; i++) result->word[i] = add_carry(difference[i], TWICE_Q.word[i] & mask, &carry);
}

INLINE void fq_negate(fq *result, const fq *value) { fq_subtract(result, &FQ_ZERO, value); }

INLINE void fq_add(fq *result, const fq *left, const fq *right) {
    fq negated;
    fq_negate(&negated, right);
    fq_subtract(result, left, &negated);
}

/* below 2q -> canonical */
INLINE void fq_reduce(fq *value) {
    uint64_t borrow = 0, difference[4];
    for (int i = 0; i < 4; i++) difference[i] = subtract_borrow(value->word[i], Q.word[i], &borrow);
    if (!borrow) memcpy(value->word, difference, sizeof difference);
}

INLINE bool fq_is_zero(const fq *value) {
    const uint64_t *w = value->word;
    if ((w[0] | w[1] | w[2] | w[3]) == 0) return true;
    return w[0] == Q.word[0] && w[1] == Q.word[1] && w[2] == Q.word[2] && w[3] == Q.word[3];
}

INLINE bool fq_equal(const fq *left, const fq *right) {
    fq difference;
    fq_subtract(&difference, left, right);
    return fq_is_zero(&difference);
}

/* 1 / a = a^(q - 2), four bits of the exponent at a time; 0 gives 0 */
static inline __attribute__((unused)) void fq_invert(fq *result, const fq *value) {
    uint64_t exponent[4];
    memcpy(exponent, Q.word, sizeof exponent);
    exponent[0] -= 2;
    fq power[16];
    power[0] = FQ_ONE;
    for (int i = 1; i < 16; i++) fq_multiply(&power[i], &power[i - 1], value);
    fq accumulated = FQ_ONE;
    for (int digit = 63; digit >= 0; digit--) {
        for (int i = 0; i < 4; i++) fq_square(&accumulated, &accumulated);
        fq_multiply(&accumulated, &accumulated, &power[exponent[digit / 16] >> (4 * (digit % 16)) & 15]);
    }
    *result = accumulated;
}

/* 32 bytes big-endian -> Montgomery form, canonical; false when it is not below q */
static inline __attribute__((unused)) bool fq_from_bytes(fq *result, const uint8_t *bytes) {
    fq plain;
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        plain.word[i] = 0;
        for (int j = 0; j < 8; j++) plain.word[i] = plain.word[i] << 8 | bytes[8 * (3 - i) + j];
        subtract_borrow(plain.word[i], Q.word[i], &borrow);
    }
    fq_multiply(result, &plain, &R_SQUARED);
    fq_reduce(result);
    return borrow;
}

/* Montgomery form -> 32 bytes big-endian */
static inline __attribute__((unused)) void fq_to_bytes(uint8_t *bytes, const fq *value) {
    static const fq plain_one = {{1, 0, 0, 0}};
    fq plain;
    fq_multiply(&plain, value, &plain_one);
    fq_reduce(&plain);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(plain.word[3 - i / 8] >> (56 - 8 * (i % 8)));
}

#endif
