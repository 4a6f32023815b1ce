/* Runs every folding kernel over matrices of all types and odd sizes in memory of exactly their size, for a build with
   sanitizers (test_fold_sanitizers.py), and compares the kernels with one another. */
#include <stdio.h>
#include <stdlib.h>

#include "fold.h"

enum { LEFT_ROWS = 3, CASES_OF_A_TYPE = 5 };

static const size_t ITEM[STORED_TYPES] = {8, 4, 2, 2};

static void *exactly(size_t bytes) {
    uint8_t *memory = malloc(bytes ? bytes : 1);
    if (!memory) exit(2);
    for (size_t i = 0; i < bytes; i++) memory[i] = (uint8_t)(i * 37 % 251);
    return memory;
}

/* Numbers of about 1, at an odd address: exponents are 0x3f.., 0x3c.. */
static void fill(uint8_t *stored, unsigned type, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t *entry = stored + i * ITEM[type];
        entry[ITEM[type] - 1] = (uint8_t)(type == STORED_F16 ? 0x3c : 0x3f) | (uint8_t)(i % 3 == 0 ? 0x80 : 0);
        entry[ITEM[type] - 2] = (uint8_t)(i * 29 % 128 + 128 * (type != STORED_F16));
    }
}

static int differs(const void *left, const void *right, size_t bytes) { return bytes && memcmp(left, right, bytes); }

static int run(unsigned type, size_t rows, size_t columns, int transposed, size_t begin, size_t end) {
    size_t padded = (columns + LANES - 1) / LANES * LANES, count = end - begin, shift = ITEM[type] > 2;
    uint8_t *raw = exactly(shift + rows * columns * ITEM[type]);
    double *scale = exactly(columns * sizeof(double)), *left = exactly(LEFT_ROWS * padded * sizeof(double));
    fill(raw + shift, type, rows * columns);
    for (size_t j = 0; j < columns; j++) scale[j] = 0.5 + (double)j;
    for (size_t j = 0; j < LEFT_ROWS * padded; j++) left[j] = j % padded < columns ? (double)j - 7.0 : 0.0;
    stored_matrix matrix = {raw + shift, type, rows, columns, transposed ? 1 : (int64_t)columns,
                            transposed ? (int64_t)rows : 1, scale, 1};
    double *first = NULL, *squares = NULL, *products = NULL;
    int8_t *entries = NULL;
    int bad = 0;
    for (int kernel = 0; huref_fold_name(kernel); kernel++) {
        double *f = exactly(count * columns * sizeof(double)), *s = exactly(count * sizeof(double));
        double *p = exactly(2 * count * LEFT_ROWS * sizeof(double));
        int8_t *e = exactly(count * columns);
        quantized_rows made = {3.0, e, 0, LEFT_ROWS, left, left, p, p + count * LEFT_ROWS};
        bad |= huref_fold_rows(kernel, &matrix, begin, end, f) || huref_row_squares(kernel, &matrix, begin, end, s) ||
               huref_quantize_rows(kernel, &matrix, begin, end, &made) ||
               huref_all_finite(kernel, raw + shift, type, rows * columns) != 1;
        if (kernel == 0) {
            first = f, squares = s, products = p, entries = e;
            continue;
        }
        bad |= differs(first, f, count * columns * sizeof(double)) || differs(squares, s, count * sizeof(double)) ||
               differs(products, p, 2 * count * LEFT_ROWS * sizeof(double)) || differs(entries, e, count * columns);
        free(f), free(s), free(p), free(e);
    }
    bad |= huref_row_squares(0, &matrix, begin, rows + 1, squares) != HUREF_BAD_SHAPE;
    free(first), free(squares), free(products), free(entries), free(raw), free(scale), free(left);
    return bad;
}

int main(void) {
    static const size_t shapes[CASES_OF_A_TYPE][2] = {{1, 1}, {9, 7}, {33, 8}, {70, 65}, {8, 1030}};
    int cases = 0;
    for (unsigned type = 0; type < STORED_TYPES; type++)
        for (int i = 0; i < CASES_OF_A_TYPE; i++)
            for (int transposed = 0; transposed < 2; transposed++)
                for (size_t begin = 0; begin < 2; begin++, cases++)
                    if (run(type, shapes[i][0], shapes[i][1], transposed, begin, shapes[i][0])) {
                        printf("type %u, %zu x %zu, transposed %d\n", type, shapes[i][0], shapes[i][1], transposed);
                        return 1;
                    }
    printf("%d cases\n", cases);
    return 0;
}
