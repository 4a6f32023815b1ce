/* BN254's base field: all but the product, which a file may choose before it includes this one. */
#ifndef HUREF_FIELD_H
#define HUREF_FIELD_H

#include "words.h"

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
