/* The portable way to fold and quantize, and the choice among the ways that this machine runs. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3,no-trapping-math") /* loops over entries become vector code; no value changes */
#endif
#include "fold_rows.h"

static bool everywhere(void) { return true; }

const fold_kernel portable_fold = FOLD_KERNEL("portable", everywhere);

static const fold_kernel *const KERNELS[] = {
#if defined(__x86_64__)
    &avx512_fold,
    &avx2_fold,
#endif
    &portable_fold,
};

static const fold_kernel *kernel_at(int index) {
    for (size_t i = 0; index >= 0 && i < sizeof KERNELS / sizeof *KERNELS; i++)
        if (KERNELS[i]->runs_here() && index-- == 0) return KERNELS[i];
    return NULL;
}

HUREF_EXPORT const char *huref_fold_name(int index) {
    const fold_kernel *kernel = kernel_at(index);
    return kernel ? kernel->name : NULL;
}

static bool is_matrix(const stored_matrix *matrix, size_t begin, size_t end) {
    return matrix->type < STORED_TYPES && matrix->columns > 0 && matrix->columns <= MAX_SCALARS && begin <= end &&
           end <= matrix->rows;
}

HUREF_EXPORT int huref_all_finite(int number, const void *stored, unsigned type, size_t count) {
    const fold_kernel *kernel = kernel_at(number);
    if (!kernel || type >= STORED_TYPES) return -1;
    return kernel->finite(stored, type, count);
}

HUREF_EXPORT int huref_fold_rows(int number, const stored_matrix *matrix, size_t begin, size_t end, double *rows) {
    const fold_kernel *kernel = kernel_at(number);
    if (!kernel) return HUREF_NO_KERNEL;
    if (!is_matrix(matrix, begin, end)) return HUREF_BAD_SHAPE;
    return kernel->fold(matrix, begin, end, rows);
}

HUREF_EXPORT int huref_row_squares(int number, const stored_matrix *matrix, size_t begin, size_t end, double *squares) {
    const fold_kernel *kernel = kernel_at(number);
    if (!kernel) return HUREF_NO_KERNEL;
    if (!is_matrix(matrix, begin, end)) return HUREF_BAD_SHAPE;
    return kernel->squares(matrix, begin, end, squares);
}

HUREF_EXPORT int huref_quantize_rows(int number, const stored_matrix *matrix, size_t begin, size_t end,
                                     quantized_rows *made) {
    const fold_kernel *kernel = kernel_at(number);
    if (!kernel) return HUREF_NO_KERNEL;
    if (!is_matrix(matrix, begin, end) || made->left_rows > MAX_LEFT) return HUREF_BAD_SHAPE;
    return kernel->quantize(matrix, begin, end, made);
}
