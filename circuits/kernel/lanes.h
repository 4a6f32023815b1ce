/* Eight field elements at a time, by AVX-512 IFMA: five limbs of 52 bits, Montgomery form with R = 2^260.

   Bounds are in multiples of q. A product of a <= 8 and b <= 8 is below 1 + a b q / R <= 1.76, of what occurs below 1.2.
   Operands of a product have limbs in [0, 2^52): `carry` makes them so. */
#ifndef HUREF_LANES_H
#define HUREF_LANES_H

#include <immintrin.h>

enum { LANES = 8, LIMBS = 5, LIMB_BITS = 52, MULTIPLES = 6 };

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

typedef __m512i vector;

typedef struct {
    vector limb[LIMBS];
} lane_field;

typedef struct {
    lane_field x, y;
} lane_point;

/* Kept in registers or close by. `multiple[t]` is t q; `near[v]` is what is taken off a value v 2^253 + ... */
typedef struct {
    vector q[LIMBS], minus, mask, near[LIMBS], multiple[MULTIPLES][LIMBS];
    lane_field one;
} lane_constants;

INLINE vector broadcast(uint64_t value) { return _mm512_set1_epi64((long long)value); }

/* four words -> five limbs */
INLINE void to_limbs(uint64_t *limb, const uint64_t *w) {
    limb[0] = w[0] & LIMB_MASK;
    limb[1] = (w[0] >> 52 | w[1] << 12) & LIMB_MASK;
    limb[2] = (w[1] >> 40 | w[2] << 24) & LIMB_MASK;
    limb[3] = (w[2] >> 28 | w[3] << 36) & LIMB_MASK;
    limb[4] = w[3] >> 16;
}

/* the same for vectors of words */
INLINE void unpack(lane_field *r, vector a, vector b, vector c, vector d, const lane_constants *k) {
    r->limb[0] = _mm512_and_si512(a, k->mask);
    r->limb[1] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(a, 52), _mm512_slli_epi64(b, 12)), k->mask);
    r->limb[2] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(b, 40), _mm512_slli_epi64(c, 24)), k->mask);
    r->limb[3] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(c, 28), _mm512_slli_epi64(d, 36)), k->mask);
    r->limb[4] = _mm512_srli_epi64(d, 16);
}

/* five limbs of a value below 2^256 -> four words */
INLINE void pack(vector word[4], const lane_field *r) {
    word[0] = _mm512_or_si512(r->limb[0], _mm512_slli_epi64(r->limb[1], 52));
    word[1] = _mm512_or_si512(_mm512_srli_epi64(r->limb[1], 12), _mm512_slli_epi64(r->limb[2], 40));
    word[2] = _mm512_or_si512(_mm512_srli_epi64(r->limb[2], 24), _mm512_slli_epi64(r->limb[3], 28));
    word[3] = _mm512_or_si512(_mm512_srli_epi64(r->limb[3], 36), _mm512_slli_epi64(r->limb[4], 16));
}

/* signed limbs of a value >= 0 -> limbs in [0, 2^52) */
INLINE void carry_limbs(lane_field *r, const lane_constants *k) {
    for (int i = 0; i < LIMBS - 1; i++) {
        r->limb[i + 1] = _mm512_add_epi64(r->limb[i + 1], _mm512_srai_epi64(r->limb[i], LIMB_BITS));
        r->limb[i] = _mm512_and_si512(r->limb[i], k->mask);
    }
}

/* a b / R mod q: five steps of t := (t + a b[i] + m q) / 2^52 */
INLINE void lane_multiply(lane_field *result, const lane_field *a, const lane_field *b, const lane_constants *k) {
    const vector zero = _mm512_setzero_si512();
    vector t[LIMBS], high[LIMBS];
    for (int j = 0; j < LIMBS; j++) t[j] = zero;
    for (int i = 0; i < LIMBS; i++) {
        vector digit = b->limb[i];
        for (int j = 0; j < LIMBS; j++) t[j] = _mm512_madd52lo_epu64(t[j], a->limb[j], digit);
        for (int j = 0; j < LIMBS; j++) high[j] = _mm512_madd52hi_epu64(zero, a->limb[j], digit);
        vector m = _mm512_madd52lo_epu64(zero, t[0], k->minus);
        for (int j = 0; j < LIMBS; j++) t[j] = _mm512_madd52lo_epu64(t[j], m, k->q[j]);
        for (int j = 0; j < LIMBS; j++) high[j] = _mm512_madd52hi_epu64(high[j], m, k->q[j]);
        t[0] = _mm512_add_epi64(_mm512_add_epi64(t[1], high[0]), _mm512_srli_epi64(t[0], LIMB_BITS));
        for (int j = 1; j < LIMBS - 1; j++) t[j] = _mm512_add_epi64(t[j + 1], high[j]);
        t[LIMBS - 1] = high[LIMBS - 1];
    }
    for (int j = 0; j < LIMBS; j++) result->limb[j] = t[j];
    carry_limbs(result, k);
}

/* a - b + times q, for b <= times */
INLINE void lane_subtract(lane_field *r, const lane_field *a, const lane_field *b, int times, const lane_constants *k) {
    for (int i = 0; i < LIMBS; i++)
        r->limb[i] = _mm512_add_epi64(_mm512_sub_epi64(a->limb[i], b->limb[i]), k->multiple[times][i]);
    carry_limbs(r, k);
}

/* below 5.29 -> below 1.64, by the value's upper bits; limbs may come signed */
INLINE void lane_reduce(lane_field *r, const lane_constants *k) {
    carry_limbs(r, k);
    vector upper = _mm512_srli_epi64(r->limb[LIMBS - 1], 45); /* the value / 2^253 */
    for (int i = 0; i < LIMBS; i++)
        r->limb[i] = _mm512_sub_epi64(r->limb[i], _mm512_permutexvar_epi64(upper, k->near[i]));
    carry_limbs(r, k);
}

/* which lanes hold q, 2 q or 3 q */
INLINE __mmask8 lanes_of_zero(const lane_field *value, const lane_constants *k) {
    __mmask8 any = 0;
    for (int t = 1; t <= 3; t++) {
        __mmask8 all = 0xff;
        for (int i = 0; i < LIMBS; i++) all &= _mm512_cmpeq_epi64_mask(value->limb[i], k->multiple[t][i]);
        any |= all;
    }
    return any;
}

static lane_constants make_constants(void) {
    /* floor(v 2^253 / q) or one less: what may be taken off */
    static const unsigned char near[LANES] = {0, 0, 1, 1, 2, 3, 3, 4};
    uint64_t q[LIMBS], multiple[MULTIPLES][LIMBS], one[LIMBS];
    lane_constants k;
    k.mask = broadcast(LIMB_MASK);
    k.minus = broadcast(MINUS_Q_INVERSE & LIMB_MASK);
    to_limbs(q, Q.word);
    for (unsigned t = 0; t < MULTIPLES; t++) {
        uint64_t over = 0;
        for (int i = 0; i < LIMBS; i++) {
            over += q[i] * t;
            multiple[t][i] = i < LIMBS - 1 ? over & LIMB_MASK : over;
            over >>= LIMB_BITS;
            k.multiple[t][i] = broadcast(multiple[t][i]);
        }
    }
    for (int i = 0; i < LIMBS; i++) {
        uint64_t table[LANES];
        for (int v = 0; v < LANES; v++) table[v] = multiple[near[v]][i];
        k.near[i] = _mm512_loadu_si512(table);
        k.q[i] = broadcast(q[i]);
    }
    fq sixteen = FQ_ONE; /* 16 R mod q with R = 2^256 is 2^260 mod q */
    for (int i = 0; i < 4; i++) fq_add(&sixteen, &sixteen, &sixteen);
    fq_reduce(&sixteen);
    to_limbs(one, sixteen.word);
    for (int i = 0; i < LIMBS; i++) k.one.limb[i] = broadcast(one[i]);
    return k;
}

#endif
