/* The way through the rows of a stored matrix, compiled once for each kind of processor: fold.c, fold_avx2.c, ... */
#ifndef HUREF_FOLD_ROWS_H
#define HUREF_FOLD_ROWS_H

#include <stdlib.h>
#include <string.h>

#include "fold.h"

#ifndef FOLD_WIDTH /* doubles to a register */
#define FOLD_WIDTH 2
#define FOLD_ROWS 1 /* rows and left rows whose products are summed at once: as many sums as there are registers */
#define FOLD_LEFT 2
#endif

enum {
    TILE = 8,     /* rows that are folded together */
    GATHER = 32,  /* rows that are brought together first where a row's entries lie apart: a cache line of float16 */
    CHUNK = 512,  /* columns of a tile whose products are summed before the next */
    PADDING = 64, /* bytes between gathered rows, so that they do not fall on the same lines of a cache */
    SHIFT_F16 = 13,
    MANTISSA_F32 = 23
};

static const size_t ITEM_BYTES[STORED_TYPES] = {8, 4, 2, 2};

enum { PARTS = LANES / FOLD_WIDTH };

typedef double part __attribute__((vector_size(FOLD_WIDTH * sizeof(double)), aligned(sizeof(double))));

/* LANES sums */
typedef struct {
    part parts[PARTS];
} lanes;

/* Entries as they are stored: a tensor may begin at any byte of its file. */
typedef float stored_f32 __attribute__((aligned(1), may_alias));
typedef uint64_t stored_u64 __attribute__((aligned(1), may_alias));
typedef uint32_t stored_u32 __attribute__((aligned(1), may_alias));
typedef uint16_t stored_u16 __attribute__((aligned(1), may_alias));

/* ---------------------------------------- one row */

/* f16: sign, 5 bits of exponent (bias 15), 10 of mantissa. Infinities and NaNs stay what they are. */
static inline float from_f16(uint16_t half) {
    uint32_t magnitude = half & 0x7fff;
    uint32_t bias = magnitude >= 0x7c00 ? 224u : 112u; /* 255 - 31 or 127 - 15 */
    uint32_t normal = (magnitude << SHIFT_F16) + (bias << MANTISSA_F32);
    float small = (float)(int32_t)magnitude * 0x1p-24f, value;
    uint32_t bits, small_bits;
    memcpy(&small_bits, &small, sizeof bits);
    bits = (magnitude < 0x0400 ? small_bits : normal) | (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float from_bf16(uint16_t upper) {
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void widen_row(double *restrict row, const void *restrict stored, unsigned type, size_t columns) {
    if (type == STORED_F64) memcpy(row, stored, columns * sizeof(double));
    if (type == STORED_F32)
        for (size_t j = 0; j < columns; j++) row[j] = (double)((const stored_f32 *)stored)[j];
    if (type == STORED_F16)
        for (size_t j = 0; j < columns; j++) row[j] = (double)from_f16(((const stored_u16 *)stored)[j]);
    if (type == STORED_BF16)
        for (size_t j = 0; j < columns; j++) row[j] = (double)from_bf16(((const stored_u16 *)stored)[j]);
}

static inline void add_halves(double *restrict lower, const double *restrict upper, size_t count) {
    for (size_t j = 0; j < count; j++) lower[j] += upper[j];
}

/* The sum by halving of count > 0 values, which are lost. */
static double tree_sum(double *values, size_t count) {
    while (count > 1) {
        size_t half = (count + 1) / 2;
        add_halves(values, values + half, count - half);
        count = half;
    }
    return values[0];
}

static void fold_row(double *restrict row, double *restrict spare, const stored_matrix *matrix, const void *stored) {
    size_t columns = matrix->columns;
    const double *restrict scale = matrix->scale;
    widen_row(row, stored, (unsigned)matrix->type, columns);
    if (scale)
        for (size_t j = 0; j < columns; j++) row[j] *= scale[j];
    if (matrix->centred) {
        memcpy(spare, row, columns * sizeof(double));
        double mean = tree_sum(spare, columns) / (double)columns;
        for (size_t j = 0; j < columns; j++) row[j] -= mean;
    }
}

static double square_sum(const double *restrict row, double *restrict spare, size_t columns) {
    for (size_t j = 0; j < columns; j++) spare[j] = row[j] * row[j];
    return tree_sum(spare, columns);
}

/* entries and `rounded` := row * factor, half to even, within +-127; how many were beyond. Adding and taking off
   1.5 2^52 rounds to an integer as the processor rounds, and leaves the integer in the lowest bits. */
static size_t quantize_row(const double *restrict row, double factor, int8_t *restrict entries, double *restrict rounded,
                           size_t columns) {
    const double shifter = 0x1.8p52;
    int64_t clipped = 0;
    for (size_t j = 0; j < columns; j++) {
        double value = row[j] * factor, size = value < 0 ? -value : value;
        clipped += size >= 127.5; /* which rounds to 128 */
        value = value < -127.0 ? -127.0 : value;
        value = value < 127.0 ? value : 127.0;
        rounded[j] = value + shifter;
    }
    for (size_t j = 0; j < columns; j++) {
        int64_t bits;
        memcpy(&bits, &rounded[j], sizeof bits);
        entries[j] = (int8_t)(uint8_t)bits;
        rounded[j] -= shifter;
    }
    return (size_t)clipped;
}

/* ---------------------------------------- products */

/* sums[(r left_rows + l) LANES + i] += the products of rows[r] and left[l] at columns i mod LANES: FOLD_ROWS rows
   and FOLD_LEFT left rows, or fewer of both */
static inline __attribute__((always_inline)) void add_products(lanes *sums, size_t left_rows, const double *rows,
                                                               const double *left, size_t stride, size_t columns,
                                                               size_t row_count, size_t left_count) {
    lanes sum[FOLD_ROWS][FOLD_LEFT];
    for (size_t r = 0; r < row_count; r++)
        for (size_t l = 0; l < left_count; l++) sum[r][l] = sums[r * left_rows + l];
    for (size_t j = 0; j < columns; j += LANES)
        for (size_t r = 0; r < row_count; r++) {
            lanes entries = *(const lanes *)(rows + r * stride + j);
            for (size_t l = 0; l < left_count; l++)
                for (size_t p = 0; p < PARTS; p++)
                    sum[r][l].parts[p] += entries.parts[p] * ((const lanes *)(left + l * stride + j))->parts[p];
        }
    for (size_t r = 0; r < row_count; r++)
        for (size_t l = 0; l < left_count; l++) sums[r * left_rows + l] = sum[r][l];
}

/* products [count, left_rows] := rows [count, stride] times left [left_rows, stride] transposed */
static void multiply_rows(double *products, lanes *sums, const double *rows, size_t count, const double *left,
                          size_t left_rows, size_t stride) {
    memset(sums, 0, count * left_rows * sizeof(lanes));
    for (size_t begin = 0; begin < stride; begin += CHUNK) {
        size_t columns = stride - begin < CHUNK ? stride - begin : CHUNK;
        for (size_t l = 0; l < left_rows; l += FOLD_LEFT)
            for (size_t r = 0; r < count; r += FOLD_ROWS) {
                lanes *here = sums + r * left_rows + l;
                const double *row = rows + r * stride + begin, *other = left + l * stride + begin;
                if (count - r >= FOLD_ROWS && left_rows - l >= FOLD_LEFT) {
                    add_products(here, left_rows, row, other, stride, columns, FOLD_ROWS, FOLD_LEFT);
                    continue;
                }
                for (size_t i = r; i < count && i < r + FOLD_ROWS; i++)
                    for (size_t k = l; k < left_rows && k < l + FOLD_LEFT; k++)
                        add_products(sums + i * left_rows + k, left_rows, rows + i * stride + begin,
                                     left + k * stride + begin, stride, columns, 1, 1);
            }
    }
    for (size_t i = 0; i < count * left_rows; i++) {
        double eight[LANES];
        memcpy(eight, &sums[i], sizeof eight);
        products[i] = tree_sum(eight, LANES);
    }
}

/* ---------------------------------------- rows of a matrix */

typedef struct {
    uint8_t *gathered;
    double *rows, *rounded, *spare;
    lanes *sums;
    size_t stride; /* columns to a multiple of LANES */
} fold_space;

static void leave_space(fold_space *space) {
    free(space->gathered);
    free(space->rows);
    free(space->rounded);
    free(space->spare);
    free(space->sums);
}

static bool is_scattered(const stored_matrix *matrix) { return matrix->column_step != 1 && matrix->columns > 1; }

static size_t gathered_bytes(const stored_matrix *matrix) {
    return matrix->columns * ITEM_BYTES[matrix->type] + PADDING;
}

static bool take_space(fold_space *space, const stored_matrix *matrix, size_t left_rows) {
    memset(space, 0, sizeof *space);
    space->stride = (matrix->columns + LANES - 1) / LANES * LANES;
    space->rows = allocate(TILE * space->stride, sizeof(double));
    space->rounded = allocate(TILE * space->stride, sizeof(double));
    space->spare = allocate(space->stride, sizeof(double));
    if (is_scattered(matrix)) space->gathered = allocate(GATHER, gathered_bytes(matrix));
    if (left_rows) space->sums = allocate(TILE * left_rows, sizeof(lanes));
    if (!space->rows || !space->rounded || !space->spare || (is_scattered(matrix) && !space->gathered) ||
        (left_rows && !space->sums))
        return false;
    memset(space->rows, 0, TILE * space->stride * sizeof(double)); /* zeros behind the columns stay */
    memset(space->rounded, 0, TILE * space->stride * sizeof(double));
    return true;
}

#define GATHER_AS(type)                                                                         \
    for (size_t j = 0; j < matrix->columns; j++) {                                              \
        const type *from = (const type *)matrix->stored + (int64_t)begin * matrix->row_step +   \
                           (int64_t)j * matrix->column_step;                                    \
        for (size_t r = 0; r < count; r++)                                                      \
            *(type *)(gathered + r * stride + j * sizeof(type)) = from[(int64_t)r * matrix->row_step]; \
    }

/* `count` rows from `begin` on, each in one piece */
static void gather(uint8_t *gathered, const stored_matrix *matrix, size_t begin, size_t count) {
    size_t stride = gathered_bytes(matrix);
    if (ITEM_BYTES[matrix->type] == sizeof(uint64_t)) GATHER_AS(stored_u64)
    if (ITEM_BYTES[matrix->type] == sizeof(uint32_t)) GATHER_AS(stored_u32)
    if (ITEM_BYTES[matrix->type] == sizeof(uint16_t)) GATHER_AS(stored_u16)
}

/* space->rows := folded rows `begin` to `begin + count`, count <= TILE. `first`: where the matrix' part began. */
static void fold_tile(fold_space *space, const stored_matrix *matrix, size_t first, size_t begin, size_t count,
                      size_t end) {
    size_t place = (begin - first) % GATHER, left = end - begin;
    if (space->gathered && place == 0) gather(space->gathered, matrix, begin, left < GATHER ? left : GATHER);
    for (size_t r = 0; r < count; r++) {
        const uint8_t *row = space->gathered
                                 ? space->gathered + (place + r) * gathered_bytes(matrix)
                                 : (const uint8_t *)matrix->stored + (int64_t)(begin + r) * matrix->row_step *
                                                                         (int64_t)ITEM_BYTES[matrix->type];
        fold_row(space->rows + r * space->stride, space->spare, matrix, row);
    }
}

static int folded_rows(const stored_matrix *matrix, size_t begin, size_t end, double *rows) {
    fold_space space;
    bool good = take_space(&space, matrix, 0);
    for (size_t at = begin; good && at < end; at += TILE) {
        size_t count = end - at < TILE ? end - at : TILE;
        fold_tile(&space, matrix, begin, at, count, end);
        for (size_t r = 0; r < count; r++)
            memcpy(rows + (at - begin + r) * matrix->columns, space.rows + r * space.stride,
                   matrix->columns * sizeof(double));
    }
    leave_space(&space);
    return good ? HUREF_OK : HUREF_NO_MEMORY;
}

static int row_squares(const stored_matrix *matrix, size_t begin, size_t end, double *squares) {
    fold_space space;
    bool good = take_space(&space, matrix, 0);
    for (size_t at = begin; good && at < end; at += TILE) {
        size_t count = end - at < TILE ? end - at : TILE;
        fold_tile(&space, matrix, begin, at, count, end);
        for (size_t r = 0; r < count; r++)
            *squares++ = square_sum(space.rows + r * space.stride, space.spare, matrix->columns);
    }
    leave_space(&space);
    return good ? HUREF_OK : HUREF_NO_MEMORY;
}

static int quantize_rows(const stored_matrix *matrix, size_t begin, size_t end, quantized_rows *made) {
    fold_space space;
    size_t left_rows = made->left_rows;
    bool good = take_space(&space, matrix, left_rows);
    for (size_t at = begin; good && at < end; at += TILE) {
        size_t count = end - at < TILE ? end - at : TILE, done = at - begin;
        fold_tile(&space, matrix, begin, at, count, end);
        for (size_t r = 0; r < count; r++)
            made->clipped += quantize_row(space.rows + r * space.stride, made->factor,
                                          made->entries + (done + r) * matrix->columns,
                                          space.rounded + r * space.stride, matrix->columns);
        if (left_rows == 0) continue;
        multiply_rows(made->folded_products + done * left_rows, space.sums, space.rows, count, made->folded_left,
                      left_rows, space.stride);
        multiply_rows(made->quantized_products + done * left_rows, space.sums, space.rounded, count,
                      made->quantized_left, left_rows, space.stride);
    }
    leave_space(&space);
    return good ? HUREF_OK : HUREF_NO_MEMORY;
}

/* ---------------------------------------- finite */

/* An infinity or NaN has all bits of the exponent set; count them, so that the loop has one way. */
#define COUNT_AS(type, exponent)                                                    \
    for (size_t i = 0; i < count; i++) {                                            \
        bad += (type)((((const type *)stored)[i] & (type)(exponent)) == (type)(exponent)); \
    }

static bool all_finite(const void *stored, unsigned type, size_t count) {
    size_t bad = 0;
    if (type == STORED_F64) COUNT_AS(stored_u64, UINT64_C(0x7ff0000000000000))
    if (type == STORED_F32) COUNT_AS(stored_u32, 0x7f800000)
    if (type == STORED_F16) COUNT_AS(stored_u16, 0x7c00)
    if (type == STORED_BF16) COUNT_AS(stored_u16, 0x7f80)
    return bad == 0;
}

#define FOLD_KERNEL(name, runs_here) {name, runs_here, folded_rows, row_squares, quantize_rows, all_finite}

#endif
