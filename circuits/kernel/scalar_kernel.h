/* One row at a time: the kernel of portable.c and of mulx.c. */
#include "affine.h"

typedef struct {
    batch_scratch batch;
    point grown[GROUP << (MAX_WINDOW - 1)]; /* only as much of it as a width needs is there */
} table_scratch;

static size_t scratch_bytes(unsigned width) {
    return offsetof(table_scratch, grown) + ((size_t)GROUP << (width - 1)) * sizeof(point);
}

static void begin(const row_plan *plan, void *accumulators, size_t rows) {
    point *sums = accumulators;
    for (size_t i = 0; i < rows; i++) sums[i] = plan->start;
}

/* Digit m of a window of w bits stands for sum_b (2 m_b - 1) H_b. The upper half (m_(w-1) = 1) is made from

       +H_(w-1) - H_(w-2) - ... - H_0

   by doubling the number of points w - 1 times, with + B_b = + 2 H_b each; the lower half is its negation. */
static bool tables(const row_plan *plan, size_t at, unsigned width, unsigned count, void *tables, void *memory) {
    table_scratch *scratch = memory;
    point *grown = scratch->grown, step[GROUP];
    unsigned top = width - 1;
    bool good = true;
    /* grown[m * count + c] belongs to window c */
    for (unsigned c = 0; c < count; c++) grown[c] = plan->half[at + c * width + top];
    for (unsigned b = 0; b < top; b++) {
        for (unsigned c = 0; c < count; c++) {
            step[c] = plan->half[at + c * width + b];
            fq_negate(&step[c].y, &step[c].y);
        }
        good &= add_periodic(grown, step, count, count, &scratch->batch);
    }
    for (unsigned b = 0; b < top; b++) {
        size_t have = (size_t)count << b;
        for (unsigned c = 0; c < count; c++) step[c] = plan->full[at + c * width + b];
        memcpy(grown + have, grown, have * sizeof(point));
        good &= add_periodic(grown + have, step, count, have, &scratch->batch);
    }
    size_t half = (size_t)1 << top;
    for (unsigned c = 0; c < count; c++) {
        point *table = (point *)tables + ((size_t)c << width);
        for (size_t m = 0; m < half; m++) {
            point *upper = &table[half + m], *lower = &table[half - 1 - m];
            *upper = grown[m * count + c];
            lower->x = upper->x;
            fq_negate(&lower->y, &upper->y);
        }
    }
    return good;
}

static void finish(const void *accumulators, size_t rows, uint8_t *points) {
    const point *sums = accumulators;
    for (size_t i = 0; i < rows; i++) {
        fq_to_bytes(points + POINT_BYTES * i, &sums[i].x);
        fq_to_bytes(points + POINT_BYTES * i + SCALAR_BYTES, &sums[i].y);
    }
}

/* accumulators[r] += table[digits[r]]: see `row_kernel` */
static void add(void *accumulators, const uint16_t *digits, const void *table, size_t rows, uint8_t *spoilt,
                void *memory) {
    batch_scratch *scratch = memory;
    const point *points = table;
    for (size_t from = 0; from < rows; from += BATCH) {
        point *sums = (point *)accumulators + from;
        const uint16_t *digit = digits + from;
        size_t count = rows - from < BATCH ? rows - from : BATCH;
#define TERM(i) (&points[digit[i]])
#define EXCEPTIONAL(i) spoilt[from + (i)] = 1
        ADD_BATCH(sums, count, TERM, EXCEPTIONAL);
#undef TERM
#undef EXCEPTIONAL
    }
}

#define SCALAR_KERNEL(NAME, RUNS_HERE) \
    {NAME, RUNS_HERE, 1, sizeof(point), scratch_bytes, begin, tables, add, finish}
