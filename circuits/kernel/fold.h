/* Folding and quantizing a stored matrix (docs/protocol.md, section 3), some rows at a time.

   Every entry of the result is a fixed sequence of IEEE 754 double operations, the one that numpy does in
   prover/checkpoint/folded_matrix.py and prover/terms/quantization.py: the same bits on every machine, whatever the
   width of its registers. Hence nothing here may be compiled with contraction (-ffp-contract=off) or fast mathematics. */
#ifndef HUREF_FOLD_H
#define HUREF_FOLD_H

#include <float.h>

#include "library.h"

_Static_assert(FLT_EVAL_METHOD == 0, "doubles must not be kept in wider registers");

/* How entries are stored; bfloat16 is the upper half of a float. */
enum { STORED_F64, STORED_F32, STORED_F16, STORED_BF16, STORED_TYPES };

enum {
    LANES = 8,         /* sums of products: entry j goes to sum j mod 8, and the eight are added by halving */
    MAX_LEFT = 1 << 10 /* rows of a left factor */
};

/* A matrix [rows, columns] as stored, and what is done to it in this order: times `scale`, less each row's mean.
   Entry (i, j) lies at entry i row_step + j column_step from `stored`. */
typedef struct {
    const void *stored;
    uint64_t type, rows, columns;
    int64_t row_step, column_step;
    const double *scale; /* one a column, or NULL */
    uint64_t centred;
} stored_matrix;

/* What quantizing rows gives, and what is taken along. `left` are two factors [left_rows, columns to a multiple of
   LANES with zeros]: products of the first with folded rows, of the second with quantized ones, [end - begin, left_rows]
   each. No products if left_rows is 0. */
typedef struct {
    double factor;
    int8_t *entries; /* [end - begin, columns] */
    uint64_t clipped; /* entries that were cut to +-127: added to what is there */
    uint64_t left_rows;
    const double *folded_left, *quantized_left;
    double *folded_products, *quantized_products;
} quantized_rows;

/* How one processor does it; they work on rows `begin` to `end`, and answer HUREF_OK or HUREF_NO_MEMORY. */
typedef struct {
    const char *name;
    bool (*runs_here)(void);
    int (*fold)(const stored_matrix *matrix, size_t begin, size_t end, double *rows);
    int (*squares)(const stored_matrix *matrix, size_t begin, size_t end, double *squares);
    int (*quantize)(const stored_matrix *matrix, size_t begin, size_t end, quantized_rows *made);
    bool (*finite)(const void *stored, unsigned type, size_t count);
} fold_kernel;

extern const fold_kernel portable_fold;
#if defined(__x86_64__)
extern const fold_kernel avx2_fold, avx512_fold;
#endif

/* Folding kernel number `index`, fastest first: its name, or NULL past the last one that this machine runs. */
HUREF_EXPORT const char *huref_fold_name(int index);

/* Whether `count` entries are all finite: 1 or 0. Negative for a type or kernel that is none. */
HUREF_EXPORT int huref_all_finite(int kernel, const void *stored, unsigned type, size_t count);

/* Folded rows `begin` to `end`: [end - begin, columns]. */
HUREF_EXPORT int huref_fold_rows(int kernel, const stored_matrix *matrix, size_t begin, size_t end, double *rows);

/* The sum by halving of each folded row's squares: rows `begin` to `end`. */
HUREF_EXPORT int huref_row_squares(int kernel, const stored_matrix *matrix, size_t begin, size_t end, double *squares);

/* Folded rows times `factor`, rounded half to even, cut to +-127. */
HUREF_EXPORT int huref_quantize_rows(int kernel, const stored_matrix *matrix, size_t begin, size_t end,
                                     quantized_rows *made);

#endif
