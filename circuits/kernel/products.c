/* Exact products of matrices of bytes with vectors of field elements, U a and rho^T U, by AVX-512 IFMA.

   A byte e is read as u = e + 128 in [0, 255], a field element as six limbs of 44 bits, so that a product of the two has 52
   bits: one instruction for eight of them. A block of 256 such products is added up in 64 bits; then what is above 44
   bits goes to the next limb. The caller takes 128 times the sum of the vector off, and reduces.
   Plain C does no better than numpy here (docs/kernel.md), so that there is no portable form. */
#include <stdlib.h>

#include "library.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "processor.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512ifma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512ifma")
#endif

enum {
    PIECES = 6,      /* limbs of a field element */
    PIECE_BITS = 44,
    TOTALS = PIECES + 1,
    LANES = 8,
    TOGETHER = 4,    /* vectors of entries that share what is loaded of the field elements */
    BLOCK = 256,     /* terms, or vectors of terms, before limbs are carried: sums below 2^60 */
};

#define PIECE_MASK ((UINT64_C(1) << PIECE_BITS) - 1)

typedef __m512i vector;
/* One sum: limbs of 44 bits, each a sum of at most 2^19 of them */
typedef uint64_t total[TOTALS];

/* pieces[k * stride + j] := limb k of element j */
static void cut_elements(uint64_t *pieces, size_t stride, const uint8_t *elements, size_t count) {
    for (size_t j = 0; j < count; j++)
        for (int k = 0; k < PIECES; k++) {
            uint64_t value = 0;
            int first = k * PIECE_BITS;
            for (int i = 0; i < 8 && first / 8 + i < SCALAR_BYTES; i++)
                value |= (uint64_t)elements[SCALAR_BYTES * j + first / 8 + i] << (8 * i);
            pieces[k * stride + j] = value >> (first % 8) & PIECE_MASK;
        }
}

/* 8 entries, of which `count` are there; the others read as zeros of u */
INLINE vector load_entries(const int8_t *entries, size_t count) {
    uint64_t bytes = 0;
    if (count >= LANES)
        memcpy(&bytes, entries, LANES);
    else if (count > 0)
        memcpy(&bytes, entries, count);
    bytes ^= UINT64_C(0x8080808080808080); /* e + 128 */
    if (count < LANES) bytes &= (UINT64_C(1) << (8 * count)) - 1;
    return _mm512_cvtepu8_epi64(_mm_cvtsi64_si128((long long)bytes));
}

/* limbs of a block -> limbs of 44 bits, one more of them */
INLINE void carry_block(vector carried[TOTALS], const vector sum[PIECES]) {
    const vector mask = _mm512_set1_epi64((long long)PIECE_MASK);
    vector over = _mm512_setzero_si512();
    for (int k = 0; k < PIECES; k++) {
        vector value = _mm512_add_epi64(sum[k], over);
        carried[k] = _mm512_and_si512(value, mask);
        over = _mm512_srli_epi64(value, PIECE_BITS);
    }
    carried[PIECES] = over;
}

static void store_total(uint8_t *result, const total sum) {
    uint64_t word[HUREF_SUM_BYTES / 8] = {0};
    for (int k = 0; k < TOTALS; k++) {
        uint64_t carry = 0;
        int at = k * PIECE_BITS / 64, shift = k * PIECE_BITS % 64;
        word[at] = add_carry(word[at], sum[k] << shift, &carry);
        if (at + 1 < HUREF_SUM_BYTES / 8) word[at + 1] += (shift ? sum[k] >> (64 - shift) : 0) + carry;
    }
    for (int i = 0; i < HUREF_SUM_BYTES; i++) result[i] = (uint8_t)(word[i / 8] >> (8 * (i % 8)));
}

/* sums[r] += sum_c entry[r][c] element[c] for `height` <= TOGETHER rows and one block of columns */
static void add_rows(total *sums, const int8_t *entries, size_t height, size_t columns, size_t from, size_t to,
                     const uint64_t *pieces, size_t stride) {
    vector sum[TOGETHER][PIECES], carried[TOTALS];
    for (int r = 0; r < TOGETHER; r++)
        for (int k = 0; k < PIECES; k++) sum[r][k] = _mm512_setzero_si512();
    for (size_t c = from; c < to; c += LANES) {
        vector element[PIECES];
        for (int k = 0; k < PIECES; k++) element[k] = _mm512_load_si512(pieces + k * stride + c);
        for (size_t r = 0; r < TOGETHER; r++) {
            vector u = load_entries(entries + (r < height ? r : 0) * columns + c, columns - c);
            for (int k = 0; k < PIECES; k++) sum[r][k] = _mm512_madd52lo_epu64(sum[r][k], element[k], u);
        }
    }
    for (size_t r = 0; r < height; r++) {
        carry_block(carried, sum[r]);
        for (int k = 0; k < TOTALS; k++) sums[r][k] += (uint64_t)_mm512_reduce_add_epi64(carried[k]);
    }
}

static int product(const int8_t *entries, size_t rows, size_t columns, const uint8_t *elements, uint8_t *sums) {
    size_t stride = (columns + LANES - 1) / LANES * LANES;
    uint64_t *pieces = allocate(PIECES * stride, sizeof *pieces);
    if (!pieces) return HUREF_NO_MEMORY;
    memset(pieces, 0, PIECES * stride * sizeof *pieces);
    cut_elements(pieces, stride, elements, columns);
    for (size_t r = 0; r < rows; r += TOGETHER) {
        total sum[TOGETHER] = {{0}};
        size_t height = rows - r < TOGETHER ? rows - r : TOGETHER;
        for (size_t from = 0; from < columns; from += BLOCK * LANES) {
            size_t to = columns - from < BLOCK * LANES ? columns : from + BLOCK * LANES;
            add_rows(sum, entries + r * columns, height, columns, from, to, pieces, stride);
        }
        for (size_t i = 0; i < height; i++) store_total(sums + HUREF_SUM_BYTES * (r + i), sum[i]);
    }
    free(pieces);
    return HUREF_OK;
}

/* totals[c] += sum_r entry[r][c] element[r] for one block of rows and TOGETHER vectors of columns, of which `width` are
   there */
static void add_columns(total *totals, const int8_t *entries, size_t height, size_t columns, size_t width,
                        const uint64_t *pieces) {
    vector sum[TOGETHER][PIECES], carried[TOTALS];
    for (int v = 0; v < TOGETHER; v++)
        for (int k = 0; k < PIECES; k++) sum[v][k] = _mm512_setzero_si512();
    for (size_t r = 0; r < height; r++) {
        vector element[PIECES];
        for (int k = 0; k < PIECES; k++) element[k] = _mm512_set1_epi64((long long)pieces[r * PIECES + k]);
        for (size_t v = 0; v < TOGETHER; v++) {
            size_t left = v * LANES < width ? width - v * LANES : 0;
            vector u = load_entries(entries + r * columns + (left ? v * LANES : 0), left);
            for (int k = 0; k < PIECES; k++) sum[v][k] = _mm512_madd52lo_epu64(sum[v][k], element[k], u);
        }
    }
    for (size_t v = 0; v < TOGETHER; v++) {
        carry_block(carried, sum[v]);
        for (int k = 0; k < TOTALS; k++) {
            uint64_t lane[LANES];
            _mm512_storeu_si512(lane, carried[k]);
            for (size_t i = 0; i < LANES && v * LANES + i < width; i++) totals[v * LANES + i][k] += lane[i];
        }
    }
}

static int transposed_product(const int8_t *entries, size_t rows, size_t columns, const uint8_t *elements,
                              uint8_t *sums) {
    enum { STRIP = TOGETHER * LANES };
    uint64_t *pieces = allocate(PIECES * BLOCK, sizeof *pieces);
    total *totals = calloc(columns, sizeof *totals);
    int result = pieces && totals ? HUREF_OK : HUREF_NO_MEMORY;
    for (size_t r = 0; result == HUREF_OK && r < rows; r += BLOCK) {
        size_t height = rows - r < BLOCK ? rows - r : BLOCK;
        for (size_t i = 0; i < height; i++) cut_elements(pieces + i * PIECES, 1, elements + SCALAR_BYTES * (r + i), 1);
        for (size_t c = 0; c < columns; c += STRIP) {
            size_t width = columns - c < STRIP ? columns - c : STRIP;
            add_columns(totals + c, entries + r * columns + c, height, columns, width, pieces);
        }
    }
    for (size_t c = 0; result == HUREF_OK && c < columns; c++) store_total(sums + HUREF_SUM_BYTES * c, totals[c]);
    free(pieces);
    free(totals);
    return result;
}

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
static bool processor_has_ifma(void) { return false; }
static int product(const int8_t *entries, size_t rows, size_t columns, const uint8_t *elements, uint8_t *sums) {
    (void)entries, (void)rows, (void)columns, (void)elements, (void)sums;
    return HUREF_NO_KERNEL;
}
#define transposed_product product
#endif

HUREF_EXPORT int huref_has_products(void) { return processor_has_ifma(); }

HUREF_EXPORT int huref_product(const int8_t *entries, size_t rows, size_t columns, bool transposed,
                               const uint8_t *elements, uint8_t *sums) {
    if (!processor_has_ifma()) return HUREF_NO_KERNEL;
    if (rows == 0 || columns == 0 || rows > MAX_SCALARS || columns > MAX_SCALARS) return HUREF_BAD_SHAPE;
    return (transposed ? transposed_product : product)(entries, rows, columns, elements, sums);
}
