/* Which kernels this machine runs, and the way through a block of rows that they share. */
#include "library.h"

#include <stdlib.h>

static const row_kernel *const KERNELS[] = {
#if defined(__x86_64__)
    &ifma_kernel,
    &mulx_kernel,
#endif
    &portable_kernel,
};

HUREF_EXPORT int huref_interface(void) { return HUREF_INTERFACE; }

static const row_kernel *kernel_at(int index) {
    for (size_t i = 0; index >= 0 && i < sizeof KERNELS / sizeof *KERNELS; i++)
        if (KERNELS[i]->runs_here() && index-- == 0) return KERNELS[i];
    return NULL;
}

HUREF_EXPORT const char *huref_kernel_name(int index) {
    const row_kernel *kernel = kernel_at(index);
    return kernel ? kernel->name : NULL;
}

void *allocate(size_t count, size_t size) {
    if (size != 0 && count > (SIZE_MAX - ALIGNMENT) / size) return NULL;
    size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
}

static size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/* The width w with the least work a bit: (rows + 2^(w-1)) / w additions, where the second term makes the table. */
static unsigned best_width(size_t rows, size_t bits) {
    unsigned best = 1;
    for (unsigned w = 2; w <= MAX_WINDOW && w <= bits; w++)
        if ((rows + ((size_t)1 << (w - 1))) * best < (rows + ((size_t)1 << (best - 1))) * w) best = w;
    return best;
}

typedef struct {
    uint8_t *accumulators, *spoilt;
    uint16_t *digits;
    uint8_t *tables;
    void *scratch;
    size_t padded; /* rows, to a multiple of the kernel's lanes */
} workspace;

static bool take_workspace(workspace *space, const row_kernel *kernel, size_t rows, unsigned width) {
    space->padded = round_up(rows, kernel->lanes);
    space->accumulators = allocate(space->padded, kernel->accumulator_bytes);
    space->spoilt = calloc(space->padded, 1);
    space->digits = allocate(space->padded, GROUP * sizeof(uint16_t));
    space->tables = allocate((size_t)GROUP << width, POINT_BYTES);
    space->scratch = allocate(1, kernel->scratch_bytes(width));
    return space->accumulators && space->spoilt && space->digits && space->tables && space->scratch;
}

static void leave_workspace(workspace *space) {
    free(space->accumulators);
    free(space->spoilt);
    free(space->digits);
    free(space->tables);
    free(space->scratch);
}

/* `count` windows of `width` bits from bit `at` on, for all rows */
static bool add_windows(const row_plan *plan, const row_kernel *kernel, const row_block *block, workspace *space,
                        size_t at, unsigned width, unsigned count, size_t fault) {
    size_t rows = block->rows, table_bytes = (size_t)POINT_BYTES << width;
    if (!kernel->tables(plan, at, width, count, space->tables, space->scratch)) return false;
    window_digits(plan, block, at, width, count, space->digits, space->padded);
    for (unsigned c = 0; c < count; c++) {
        uint16_t *digits = space->digits + c * space->padded;
        uint8_t *table = space->tables + c * table_bytes;
        if (fault) table[(fault - 1) / 8 % table_bytes] ^= (uint8_t)(1 << (fault - 1) % 8);
        for (size_t r = rows; r < space->padded; r++) digits[r] = digits[0]; /* rows to fill up: copies of the first */
        kernel->add(space->accumulators, digits, table, space->padded, space->spoilt, space->scratch);
    }
    return true;
}

HUREF_EXPORT int huref_commit(const row_plan *plan, int number, const void *entries, const uint8_t *salts, size_t rows,
                              size_t fault, uint8_t *points, size_t *redone) {
    const row_kernel *kernel = kernel_at(number);
    row_block block = {entries, salts, rows};
    *redone = 0;
    if (!kernel) return HUREF_NO_KERNEL;
    if (!block_is_canonical(plan, &block)) return HUREF_BAD_SCALAR;
    if (rows == 0) return HUREF_OK;
    unsigned width = best_width(rows, plan->bits);
    workspace space;
    if (!take_workspace(&space, kernel, rows, width)) {
        leave_workspace(&space);
        return HUREF_NO_MEMORY;
    }
    /* as few windows as hold all bits: `wide` of them are one bit wider than the others */
    size_t windows = (plan->bits + width - 1) / width, wide = plan->bits % windows, at = 0;
    width = (unsigned)(plan->bits / windows) + (wide > 0);
    bool good = true;
    kernel->begin(plan, space.accumulators, space.padded);
    for (size_t done = 0; good && done < windows;) {
        if (wide > 0 && done == wide) width--;
        size_t left = (done < wide ? wide : windows) - done;
        unsigned count = left < GROUP ? (unsigned)left : GROUP;
        good = add_windows(plan, kernel, &block, &space, at, width, count, fault);
        at += (size_t)count * width;
        done += count;
    }
    kernel->finish(space.accumulators, rows, points);
    for (size_t r = 0; r < rows; r++)
        if (!good || space.spoilt[r]) {
            commit_row_completely(plan, &block, r, points + POINT_BYTES * r);
            ++*redone;
        }
    leave_workspace(&space);
    return HUREF_OK;
}
