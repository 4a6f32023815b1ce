/* What the files of this library share.

   The method. A row is a string of bits: `bits` for each of its entries (two's complement), 254 for each salt. Bit i has
   a base B_i: 2^b P_j for bit b of scalar j, negated for an entry's sign bit. Each bit e_i is read as a sign,

       sum_i e_i B_i  =  sum_i H_i  +  sum_i (2 e_i - 1) H_i,     H_i = B_i / 2,

   so that windows of w bits select among 2^w points +-H_i +-H_(i+1) ..., none of them the identity. Window after
   window, over all rows of a block: make this window's table, then add table[digit] to each row's accumulator. The
   additions are independent, so that they are affine and share inversions:

       slope = (y2 - y1) / (x2 - x1),  x3 = slope^2 - x1 - x2,  y3 = slope (x2 - x3) - y2.

   An exceptional addition (x1 = x2) marks its row as spoilt; such a row is computed again by complete formulas. */
#ifndef HUREF_KERNEL_H
#define HUREF_KERNEL_H

#include "field.h"

enum {
    SCALAR_BITS = 254,
    POINT_BYTES = 64,
    SCALAR_BYTES = 32,
    MAX_WINDOW = 13,      /* a table of 2^13 points is 512 KB */
    GROUP = 8,            /* windows whose tables are made together */
    MAX_ENTRY_BITS = 16,
    ALIGNMENT = 64,
};

/* Rows of one width, prepared. `half[i]` is H_i, `full[i]` is B_i, `base[j]` is P_j; `start` is sum_i H_i. */
typedef struct {
    size_t entries, salts, bits, entry_bits;
    point *half, *full, *base;
    point start;
} row_plan;

/* How one processor does it. Accumulators and tables have a form of their own; a table of a window of w bits has 2^w
   points of 64 bytes. Rows come padded to a multiple of `lanes`. */
typedef struct {
    const char *name;
    bool (*runs_here)(void);
    size_t lanes, accumulator_bytes;
    /* bytes of scratch memory that `tables` wants for windows of `width` bits, and `add` */
    size_t (*scratch_bytes)(unsigned width);
    /* every row's accumulator := plan->start */
    void (*begin)(const row_plan *plan, void *accumulators, size_t rows);
    /* Tables of `count` <= GROUP windows of `width` bits each from bit `at` on, one after the other.
       false: an exceptional addition, the tables are not to be used. */
    bool (*tables)(const row_plan *plan, size_t at, unsigned width, unsigned count, void *tables, void *scratch);
    /* accumulators[r] += table[digits[r]] for all rows; spoilt[r] := 1 where that was exceptional */
    void (*add)(void *accumulators, const uint16_t *digits, const void *table, size_t rows, uint8_t *spoilt,
                void *scratch);
    /* accumulators of `rows` rows as 64 bytes big-endian each; `rows` need not be padded */
    void (*finish)(const void *accumulators, size_t rows, uint8_t *points);
} row_kernel;

extern const row_kernel portable_kernel;
#if defined(__x86_64__)
extern const row_kernel mulx_kernel, ifma_kernel;
#endif

/* Rows of a block as they come: entries int8 (entry_bits <= 8) or int16 [rows, entries]; salts [rows, salts] of 32
   bytes little-endian. */
typedef struct {
    const void *entries;
    const uint8_t *salts;
    size_t rows;
} row_block;

/* digits.c: digits[c * stride + r] is row r's digit in window c of `count` windows of `width` bits from bit `at` on */
void window_digits(const row_plan *plan, const row_block *block, size_t at, unsigned width, unsigned count,
                   uint16_t *digits, size_t stride);
/* digits.c: whether every entry fits its bits and every salt is below the group's order */
bool block_is_canonical(const row_plan *plan, const row_block *block);

/* complete.c: C of one row by complete formulas, as 64 bytes (zeros for the identity) */
void commit_row_completely(const row_plan *plan, const row_block *block, size_t row, uint8_t *result);

/* Memory aligned to 64 bytes, or NULL. `free` releases it. */
void *allocate(size_t count, size_t size);

/* digits.c: entry j of row r */
int32_t entry_at(const row_plan *plan, const row_block *block, size_t row, size_t entry);
/* digits.c: bits `at` to `at + count` of row r's salt number j, count <= 32 */
uint64_t salt_bits(const row_plan *plan, const row_block *block, size_t row, size_t salt, unsigned at, unsigned count);

#endif
