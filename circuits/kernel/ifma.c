/* Eight rows at a time: the kernel for processors with AVX-512 IFMA. Intel since Ice Lake, AMD since Zen 4. */
#if defined(__x86_64__)
#include "mulx.h" /* first: such processors have mulx */
#include <stdlib.h>

#include "kernel.h"
#include "processor.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512ifma,bmi2,adx"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512ifma,bmi2,adx")
#endif
#include "lanes.h"

enum {
    CHAINS = 4,         /* products that do not wait for one another */
    BATCH_VECTORS = 512 /* vectors to one inversion */
};

typedef struct {
    lane_field difference[BATCH_VECTORS], before[BATCH_VECTORS];
    lane_point grown[1 << (MAX_WINDOW - 1)]; /* only as much of it as a width needs is there */
} lane_scratch;

static size_t scratch_bytes(unsigned width) {
    return offsetof(lane_scratch, grown) + ((size_t)1 << (width - 1)) * sizeof(lane_point);
}

/* Montgomery form with R = 2^256 -> with R = 2^260, canonical: times 16 */
static void to_lane_form(fq *result, const fq *value) {
    fq_add(result, value, value);
    for (int i = 0; i < 3; i++) fq_add(result, result, result);
    fq_reduce(result);
}

static void from_lane_form(fq *result, const fq *value) {
    /* 2^-4 2^256 in Montgomery form: a plain 2^252 */
    static const fq sixteenth = {{0, 0, 0, UINT64_C(1) << 60}};
    fq_multiply(result, value, &sixteenth);
}

static void load_points(lane_point *result, const point *const source[LANES], const lane_constants *k) {
    uint64_t word[8][LANES];
    vector v[8];
    for (int lane = 0; lane < LANES; lane++) {
        fq x, y;
        to_lane_form(&x, &source[lane]->x);
        to_lane_form(&y, &source[lane]->y);
        for (int i = 0; i < 4; i++) {
            word[i][lane] = x.word[i];
            word[4 + i][lane] = y.word[i];
        }
    }
    for (int i = 0; i < 8; i++) v[i] = _mm512_loadu_si512(word[i]);
    unpack(&result->x, v[0], v[1], v[2], v[3], k);
    unpack(&result->y, v[4], v[5], v[6], v[7], k);
}

/* 1 / value in each lane, by one inversion; false when a lane is zero. `value` is a product. */
static bool invert_lanes(lane_field *result, const lane_field *value, const lane_constants *k) {
    /* An a R' with R' = 2^260 is, read with R = 2^256, 16 a; its inverse 1 / 16 a; and 2^8 / 16 a = 16 / a. */
    fq x[LANES], before[LANES], product = FQ_ONE, inverse, two_to_8 = FQ_ONE;
    uint64_t word[4][LANES];
    vector v[4];
    for (int i = 0; i < 8; i++) fq_add(&two_to_8, &two_to_8, &two_to_8);
    pack(v, value);
    for (int i = 0; i < 4; i++) _mm512_storeu_si512(word[i], v[i]);
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < 4; i++) x[lane].word[i] = word[i][lane];
        before[lane] = product;
        fq_multiply(&product, &product, &x[lane]);
    }
    if (fq_is_zero(&product)) return false;
    fq_invert(&inverse, &product);
    for (int lane = LANES - 1; lane >= 0; lane--) {
        fq one;
        fq_multiply(&one, &inverse, &before[lane]);
        fq_multiply(&inverse, &inverse, &x[lane]);
        fq_multiply(&one, &one, &two_to_8);
        for (int i = 0; i < 4; i++) word[i][lane] = one.word[i];
    }
    for (int i = 0; i < 4; i++) v[i] = _mm512_loadu_si512(word[i]);
    unpack(result, v[0], v[1], v[2], v[3], k);
    return true;
}

/* u[j] := 1 / chain[j]; false when one is zero */
static bool invert_chains(const lane_field *chain, lane_field *u, const lane_constants *k) {
    lane_field ab, cd, all, inverse;
    lane_multiply(&ab, &chain[0], &chain[1], k);
    lane_multiply(&cd, &chain[2], &chain[3], k);
    lane_multiply(&all, &ab, &cd, k);
    if (!invert_lanes(&inverse, &all, k)) return false;
    lane_multiply(&cd, &cd, &inverse, k); /* 1 / ab */
    lane_multiply(&ab, &ab, &inverse, k); /* 1 / cd */
    lane_multiply(&u[0], &cd, &chain[1], k);
    lane_multiply(&u[1], &cd, &chain[0], k);
    lane_multiply(&u[2], &ab, &chain[3], k);
    lane_multiply(&u[3], &ab, &chain[2], k);
    return true;
}

/* sum += (x2, y2), given 1 / (x2 - x1). In: x below 1.64, sum->y below 4.1, y2 <= 2. Out: the same. */
INLINE void finish_addition(lane_point *sum, const lane_field *x2, const lane_field *y2, const lane_field *inverse,
                            const lane_constants *k) {
    lane_field slope, x, y;
    lane_subtract(&y, y2, &sum->y, 5, k); /* below 7 */
    lane_multiply(&slope, &y, inverse, k);
    lane_multiply(&x, &slope, &slope, k);
    for (int i = 0; i < LIMBS; i++) /* below 1.1 + 4 */
        x.limb[i] = _mm512_add_epi64(_mm512_sub_epi64(_mm512_sub_epi64(x.limb[i], x2->limb[i]), sum->x.limb[i]),
                                     k->multiple[4][i]);
    lane_reduce(&x, k);
    lane_subtract(&y, x2, &x, 2, k);
    lane_multiply(&y, &y, &slope, k);
    lane_subtract(&sum->y, &y, y2, 3, k);
    sum->x = x;
}

/* x or y of table[digit] for eight digits; `offset` counts 8-byte words */
INLINE void gather(lane_field *result, const uint64_t *table, vector offset, const lane_constants *k) {
    unpack(result, _mm512_i64gather_epi64(offset, table, 8), _mm512_i64gather_epi64(offset, table + 1, 8),
           _mm512_i64gather_epi64(offset, table + 2, 8), _mm512_i64gather_epi64(offset, table + 3, 8), k);
}

INLINE vector offsets(const uint16_t *digits) {
    return _mm512_slli_epi64(_mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)digits)), 3);
}

/* The first half of a batch: differences and their products. `spoilt`, unless NULL: lanes without a difference are
   marked there, and get a difference of one. */
static void multiply_differences(const lane_point *sums, const uint16_t *digits, const uint64_t *table, size_t vectors,
                                 lane_field *chain, lane_scratch *scratch, uint8_t *spoilt, const lane_constants *k) {
    for (int j = 0; j < CHAINS; j++) chain[j] = k->one;
    for (size_t i = 0; i < vectors; i += CHAINS)
        for (size_t j = 0; j < CHAINS; j++) {
            lane_field x, *difference = &scratch->difference[i + j];
            gather(&x, table, offsets(digits + LANES * (i + j)), k);
            lane_subtract(difference, &x, &sums[i + j].x, 2, k); /* 0.36 to 3.64 */
            if (spoilt) {
                __mmask8 zero = lanes_of_zero(difference, k);
                for (int l = 0; l < LIMBS; l++)
                    difference->limb[l] = _mm512_mask_blend_epi64(zero, difference->limb[l], k->one.limb[l]);
                for (size_t lane = 0; lane < LANES; lane++)
                    if (zero >> lane & 1) spoilt[LANES * (i + j) + lane] = 1;
            }
            scratch->before[i + j] = chain[j];
            lane_multiply(&chain[j], &chain[j], difference, k);
        }
}

static void add_batch(lane_point *sums, const uint16_t *digits, const uint64_t *table, size_t vectors, uint8_t *spoilt,
                      lane_scratch *scratch) {
    const lane_constants constants = make_constants(), *k = &constants;
    lane_field chain[CHAINS], u[CHAINS];
    multiply_differences(sums, digits, table, vectors, chain, scratch, NULL, k);
    if (!invert_chains(chain, u, k)) { /* again, looking at each */
        multiply_differences(sums, digits, table, vectors, chain, scratch, spoilt, k);
        invert_chains(chain, u, k);
    }
    for (size_t i = vectors; i > 0;) {
        i -= CHAINS;
        for (size_t j = 0; j < CHAINS; j++) {
            lane_field inverse, x, y;
            lane_multiply(&inverse, &u[j], &scratch->before[i + j], k);
            lane_multiply(&u[j], &u[j], &scratch->difference[i + j], k);
            vector offset = offsets(digits + LANES * (i + j));
            gather(&x, table, offset, k);
            gather(&y, table + 4, offset, k);
            finish_addition(&sums[i + j], &x, &y, &inverse, k);
        }
    }
}

static void add(void *accumulators, const uint16_t *digits, const void *table, size_t rows, uint8_t *spoilt,
                void *scratch) {
    size_t vectors = rows / LANES;
    for (size_t from = 0; from < vectors; from += BATCH_VECTORS) {
        size_t count = vectors - from < BATCH_VECTORS ? vectors - from : BATCH_VECTORS, row = from * LANES;
        add_batch((lane_point *)accumulators + from, digits + row, table, count, spoilt + row, scratch);
    }
}

/* sums[i] += *term for all; false when one is exceptional */
static bool add_same(lane_point *sums, const lane_point *term, size_t count, lane_scratch *scratch,
                     const lane_constants *k) {
    for (size_t from = 0; from < count; from += BATCH_VECTORS) {
        size_t n = count - from < BATCH_VECTORS ? count - from : BATCH_VECTORS;
        lane_field chain[CHAINS] = {k->one, k->one, k->one, k->one}, u[CHAINS], inverse;
        for (size_t i = 0; i < n; i++) {
            lane_subtract(&scratch->difference[i], &term->x, &sums[from + i].x, 2, k);
            scratch->before[i] = chain[i % CHAINS];
            lane_multiply(&chain[i % CHAINS], &chain[i % CHAINS], &scratch->difference[i], k);
        }
        if (!invert_chains(chain, u, k)) return false;
        for (size_t i = n; i-- > 0;) {
            lane_multiply(&inverse, &u[i % CHAINS], &scratch->before[i], k);
            lane_multiply(&u[i % CHAINS], &u[i % CHAINS], &scratch->difference[i], k);
            finish_addition(&sums[from + i], &term->x, &term->y, &inverse, k);
        }
    }
    return true;
}

static void begin(const row_plan *plan, void *accumulators, size_t rows) {
    const lane_constants constants = make_constants();
    const point *source[LANES];
    lane_point start;
    for (int lane = 0; lane < LANES; lane++) source[lane] = &plan->start;
    load_points(&start, source, &constants);
    for (size_t i = 0; i < rows / LANES; i++) ((lane_point *)accumulators)[i] = start;
}

INLINE void scatter(uint64_t *table, vector offset, const vector x[4], const vector y[4]) {
    for (int i = 0; i < 4; i++) {
        _mm512_i64scatter_epi64(table + i, offset, x[i], 8);
        _mm512_i64scatter_epi64(table + 4 + i, offset, y[i], 8);
    }
}

/* See scalar_kernel.h; here one window a lane. With fewer than eight, the last is made several times. */
static bool tables(const row_plan *plan, size_t at, unsigned width, unsigned count, void *tables, void *memory) {
    const lane_constants constants = make_constants(), *k = &constants;
    lane_scratch *scratch = memory;
    lane_point *grown = scratch->grown, step;
    const point *source[LANES];
    point negated[LANES];
    size_t from[LANES];
    unsigned top = width - 1;
    for (unsigned c = 0; c < LANES; c++) from[c] = at + (size_t)(c < count ? c : count - 1) * width;
    for (unsigned c = 0; c < LANES; c++) source[c] = &plan->half[from[c] + top];
    load_points(&grown[0], source, k);
    for (unsigned b = 0; b < top; b++) {
        for (unsigned c = 0; c < LANES; c++) {
            negated[c] = plan->half[from[c] + b];
            fq_negate(&negated[c].y, &negated[c].y);
            source[c] = &negated[c];
        }
        load_points(&step, source, k);
        if (!add_same(grown, &step, 1, scratch, k)) return false;
    }
    for (unsigned b = 0; b < top; b++) {
        size_t have = (size_t)1 << b;
        for (unsigned c = 0; c < LANES; c++) source[c] = &plan->full[from[c] + b];
        load_points(&step, source, k);
        memcpy(grown + have, grown, have * sizeof(lane_point));
        if (!add_same(grown + have, &step, have, scratch, k)) return false;
    }
    /* lane c's table begins c 2^width points, of eight words each, further on */
    const vector offset = _mm512_sll_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm_cvtsi32_si128((int)width + 3));
    const lane_field zero = {{_mm512_setzero_si512()}};
    size_t half = (size_t)1 << top;
    for (size_t m = 0; m < half; m++) {
        vector x[4], y[4];
        lane_field value = grown[m].y;
        lane_reduce(&value, k);
        pack(x, &grown[m].x);
        pack(y, &value);
        scatter((uint64_t *)tables + 8 * (half + m), offset, x, y);
        lane_subtract(&value, &zero, &value, 2, k); /* at most 2 */
        pack(y, &value);
        scatter((uint64_t *)tables + 8 * (half - 1 - m), offset, x, y);
    }
    return true;
}

static void finish(const void *accumulators, size_t rows, uint8_t *points) {
    const lane_constants constants = make_constants(), *k = &constants;
    for (size_t i = 0; i < rows; i += LANES) {
        lane_point sum = ((const lane_point *)accumulators)[i / LANES];
        vector v[8];
        uint64_t word[8][LANES];
        lane_reduce(&sum.y, k);
        pack(v, &sum.x);
        pack(v + 4, &sum.y);
        for (int j = 0; j < 8; j++) _mm512_storeu_si512(word[j], v[j]);
        for (size_t lane = 0; lane < LANES && i + lane < rows; lane++) {
            fq x, y;
            for (int j = 0; j < 4; j++) {
                x.word[j] = word[j][lane];
                y.word[j] = word[4 + j][lane];
            }
            from_lane_form(&x, &x);
            from_lane_form(&y, &y);
            fq_to_bytes(points + POINT_BYTES * (i + lane), &x);
            fq_to_bytes(points + POINT_BYTES * (i + lane) + SCALAR_BYTES, &y);
        }
    }
}

const row_kernel ifma_kernel = {
    "ifma", processor_has_ifma, LANES *CHAINS, sizeof(lane_point) / LANES, scratch_bytes, begin, tables, add, finish,
};

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
