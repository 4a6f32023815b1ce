/* Bases of the bits of a row: halved, doubled, added up. Once for each width. */
#include "affine.h"
#include "library.h"

/* (r + 1) / 2: what halves a point of order r */
static const uint64_t HALF[4] = {0xa1f0fac9f8000001, 0x9419f4243cdcb848, 0xdc2822db40c0ac2e, 0x183227397098d014};

/* doubled[i] := 2 points[i]: slope = 3 x^2 / 2 y. No point has y = 0, the group's order is odd. */
static void double_points(point *doubled, const point *points, size_t count, batch_scratch *scratch) {
    for (size_t from = 0; from < count; from += BATCH) {
        const point *p = points + from;
        size_t n = count - from < BATCH ? count - from : BATCH;
        fq product = FQ_ONE, inverse, slope, x, y;
        for (size_t i = 0; i < n; i++) {
            fq_add(&scratch->difference[i], &p[i].y, &p[i].y);
            scratch->before[i] = product;
            fq_multiply(&product, &product, &scratch->difference[i]);
        }
        fq_invert(&product, &product);
        for (size_t i = n; i-- > 0;) {
            fq_multiply(&inverse, &product, &scratch->before[i]);
            fq_multiply(&product, &product, &scratch->difference[i]);
            fq_square(&x, &p[i].x);
            fq_add(&y, &x, &x);
            fq_add(&y, &y, &x);
            fq_multiply(&slope, &y, &inverse);
            fq_square(&x, &slope);
            fq_subtract(&x, &x, &p[i].x);
            fq_subtract(&x, &x, &p[i].x);
            fq_subtract(&y, &p[i].x, &x);
            fq_multiply(&y, &y, &slope);
            fq_subtract(&doubled[from + i].y, &y, &p[i].y);
            doubled[from + i].x = x;
        }
    }
}

/* halved[i] := points[i] / 2. Its sums k P have 1 < k < r - 1, so that none is exceptional. */
static bool halve_points(point *halved, const point *points, size_t count, batch_scratch *scratch) {
    memcpy(halved, points, count * sizeof(point));
    bool good = true;
    for (int bit = 251; bit >= 0; bit--) { /* HALF has 253 bits */
        double_points(halved, halved, count, scratch);
        if (HALF[bit / 64] >> (bit % 64) & 1) good &= add_periodic(halved, points, count, count, scratch);
    }
    return good;
}

/* Where bit b of scalar j stands in a row */
static size_t place(const row_plan *plan, size_t j, unsigned b) {
    if (j < plan->entries) return j * plan->entry_bits + b;
    return plan->entries * plan->entry_bits + (j - plan->entries) * SCALAR_BITS + b;
}

static void set_bit(row_plan *plan, size_t j, unsigned b, const point *half, const point *full) {
    size_t at = place(plan, j, b);
    plan->half[at] = *half;
    plan->full[at] = *full;
    if (j < plan->entries && b == plan->entry_bits - 1) { /* two's complement */
        fq_negate(&plan->half[at].y, &half->y);
        fq_negate(&plan->full[at].y, &full->y);
    }
}

/* start = sum_i H_i, by halving the number of terms; false when a sum is exceptional */
static bool add_up(row_plan *plan, point *terms, batch_scratch *scratch) {
    memcpy(terms, plan->half, plan->bits * sizeof(point));
    bool good = true;
    for (size_t count = plan->bits; count > 1;) {
        size_t pairs = count / 2;
        good &= add_periodic(terms, terms + (count - pairs), pairs, pairs, scratch);
        count -= pairs;
    }
    plan->start = terms[0];
    return good;
}

static bool read_point(point *result, const uint8_t *bytes) {
    if (!fq_from_bytes(&result->x, bytes) || !fq_from_bytes(&result->y, bytes + SCALAR_BYTES)) return false;
    /* y^2 = x^3 + 3; the identity, (0, 0), is not on it */
    fq left, right, three;
    fq_add(&three, &FQ_ONE, &FQ_ONE);
    fq_add(&three, &three, &FQ_ONE);
    fq_square(&left, &result->y);
    fq_square(&right, &result->x);
    fq_multiply(&right, &right, &result->x);
    fq_add(&right, &right, &three);
    return fq_equal(&left, &right);
}

static int fill(row_plan *plan, const uint8_t *bases) {
    size_t count = plan->entries + plan->salts;
    point *now = allocate(count, sizeof(point)), *next = allocate(count, sizeof(point));
    point *terms = allocate(plan->bits, sizeof(point));
    batch_scratch *scratch = allocate(1, sizeof(batch_scratch));
    int result = now && next && terms && scratch ? HUREF_OK : HUREF_NO_MEMORY;
    for (size_t j = 0; result == HUREF_OK && j < count; j++)
        if (!read_point(&plan->base[j], bases + POINT_BYTES * j)) result = HUREF_BAD_BASE;
    if (result == HUREF_OK && !halve_points(now, plan->base, count, scratch)) result = HUREF_BAD_BASE;
    for (unsigned b = 0; result == HUREF_OK && b < SCALAR_BITS; b++) {
        size_t first = b < plan->entry_bits ? 0 : plan->entries; /* the scalars that have a bit b */
        double_points(next + first, now + first, count - first, scratch);
        for (size_t j = first; j < count; j++) set_bit(plan, j, b, &now[j], &next[j]);
        point *swap = now;
        now = next;
        next = swap;
    }
    if (result == HUREF_OK && !add_up(plan, terms, scratch)) result = HUREF_BAD_BASE;
    free(now);
    free(next);
    free(terms);
    free(scratch);
    return result;
}

HUREF_EXPORT int huref_plan_new(const uint8_t *bases, size_t entries, size_t salts, unsigned entry_bits,
                                row_plan **made) {
    *made = NULL;
    if (entries + salts == 0 || entries > MAX_SCALARS || salts > MAX_SCALARS) return HUREF_BAD_SHAPE;
    if (entry_bits < 2 || entry_bits > MAX_ENTRY_BITS) return HUREF_BAD_SHAPE;
    row_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return HUREF_NO_MEMORY;
    plan->entries = entries;
    plan->salts = salts;
    plan->entry_bits = entry_bits;
    plan->bits = entries * entry_bits + salts * SCALAR_BITS;
    plan->half = allocate(plan->bits, sizeof(point));
    plan->full = allocate(plan->bits, sizeof(point));
    plan->base = allocate(entries + salts, sizeof(point));
    int result = plan->half && plan->full && plan->base ? fill(plan, bases) : HUREF_NO_MEMORY;
    if (result == HUREF_OK)
        *made = plan;
    else
        huref_plan_free(plan);
    return result;
}

HUREF_EXPORT void huref_plan_free(row_plan *plan) {
    if (!plan) return;
    free(plan->half);
    free(plan->full);
    free(plan->base);
    free(plan);
}
