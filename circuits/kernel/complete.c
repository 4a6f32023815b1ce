/* One row by complete formulas: slow, and right for every input.

   Projective points (X : Y : Z), the identity (0 : 1 : 0). The addition is algorithm 7 of Renes, Costello and Batina,
   "Complete addition formulas for prime order elliptic curves" (2015), for y^2 = x^3 + 3: it also doubles. */
#include "kernel.h"

typedef struct {
    fq x, y, z;
} projective;

/* 3 b a = 9 a */
static void times_nine(fq *result, const fq *value) {
    fq eight = *value;
    for (int i = 0; i < 3; i++) fq_add(&eight, &eight, &eight);
    fq_add(result, &eight, value);
}

/* (a1 + a2) (b1 + b2) - a1 b1 - a2 b2 */
static void cross(fq *result, const fq *a1, const fq *a2, const fq *b1, const fq *b2, const fq *a1b1, const fq *a2b2) {
    fq left, right;
    fq_add(&left, a1, a2);
    fq_add(&right, b1, b2);
    fq_multiply(result, &left, &right);
    fq_subtract(result, result, a1b1);
    fq_subtract(result, result, a2b2);
}

static void add_completely(projective *result, const projective *p, const projective *r) {
    fq xx, yy, zz, xy, yz, xz, left, right, x, y, z;
    fq_multiply(&xx, &p->x, &r->x);
    fq_multiply(&yy, &p->y, &r->y);
    fq_multiply(&zz, &p->z, &r->z);
    cross(&xy, &p->x, &p->y, &r->x, &r->y, &xx, &yy); /* x1 y2 + x2 y1 */
    cross(&yz, &p->y, &p->z, &r->y, &r->z, &yy, &zz);
    cross(&xz, &p->x, &p->z, &r->x, &r->z, &xx, &zz);
    fq_add(&left, &xx, &xx);
    fq_add(&xx, &left, &xx); /* 3 x1 x2 */
    times_nine(&zz, &zz);
    times_nine(&xz, &xz);
    fq_add(&z, &yy, &zz);
    fq_subtract(&yy, &yy, &zz);
    /* x3 = xy (yy - 9 zz) - 9 yz xz */
    fq_multiply(&left, &xy, &yy);
    fq_multiply(&right, &yz, &xz);
    fq_subtract(&x, &left, &right);
    /* y3 = (yy + 9 zz) (yy - 9 zz) + 3 xx 9 xz */
    fq_multiply(&left, &z, &yy);
    fq_multiply(&right, &xx, &xz);
    fq_add(&y, &left, &right);
    /* z3 = yz (yy + 9 zz) + 3 xx xy */
    fq_multiply(&left, &yz, &z);
    fq_multiply(&right, &xx, &xy);
    fq_add(&z, &left, &right);
    *result = (projective){x, y, z};
}

static void add_base(projective *sum, const point *base, bool negative) {
    projective term = {base->x, base->y, FQ_ONE};
    if (negative) fq_negate(&term.y, &term.y);
    add_completely(sum, sum, &term);
}

void commit_row_completely(const row_plan *plan, const row_block *block, size_t row, uint8_t *result) {
    projective sum = {FQ_ZERO, FQ_ONE, FQ_ZERO};
    for (unsigned bit = SCALAR_BITS; bit-- > 0;) {
        add_completely(&sum, &sum, &sum);
        if (bit < MAX_ENTRY_BITS)
            for (size_t j = 0; j < plan->entries; j++) {
                int32_t entry = entry_at(plan, block, row, j);
                uint32_t magnitude = entry < 0 ? (uint32_t)-entry : (uint32_t)entry;
                if (magnitude >> bit & 1) add_base(&sum, &plan->base[j], entry < 0);
            }
        for (size_t j = 0; j < plan->salts; j++)
            if (salt_bits(plan, block, row, j, bit, 1)) add_base(&sum, &plan->base[plan->entries + j], false);
    }
    if (fq_is_zero(&sum.z)) {
        memset(result, 0, POINT_BYTES);
        return;
    }
    fq inverse, x, y;
    fq_invert(&inverse, &sum.z);
    fq_multiply(&x, &sum.x, &inverse);
    fq_multiply(&y, &sum.y, &inverse);
    fq_to_bytes(result, &x);
    fq_to_bytes(result + SCALAR_BYTES, &y);
}
