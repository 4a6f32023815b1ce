/* Rows as strings of bits, cut into windows. */
#include "kernel.h"

/* The group's order, r = 0x30644e72...f0000001, least significant word first. */
static const uint64_t ORDER[4] = {0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029};

int32_t entry_at(const row_plan *plan, const row_block *block, size_t row, size_t entry) {
    size_t at = row * plan->entries + entry;
    return plan->entry_bits <= 8 ? ((const int8_t *)block->entries)[at] : ((const int16_t *)block->entries)[at];
}

/* 64 bits of a salt from byte `from` on, zeros past its end */
static uint64_t salt_word(const uint8_t *salt, unsigned from) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8 && from + i < SCALAR_BYTES; i++) word |= (uint64_t)salt[from + i] << (8 * i);
    return word;
}

uint64_t salt_bits(const row_plan *plan, const row_block *block, size_t row, size_t salt, unsigned at, unsigned count) {
    const uint8_t *bytes = block->salts + (row * plan->salts + salt) * SCALAR_BYTES;
    return salt_word(bytes, at / 8) >> (at % 8) & ((UINT64_C(1) << count) - 1);
}

bool block_is_canonical(const row_plan *plan, const row_block *block) {
    if (plan->entry_bits != 8 && plan->entry_bits != 16) {
        int32_t limit = (int32_t)1 << (plan->entry_bits - 1);
        for (size_t r = 0; r < block->rows; r++)
            for (size_t j = 0; j < plan->entries; j++) {
                int32_t entry = entry_at(plan, block, r, j);
                if (entry < -limit || entry >= limit) return false;
            }
    }
    for (size_t i = 0; i < block->rows * plan->salts; i++) {
        uint64_t borrow = 0;
        for (unsigned k = 0; k < 4; k++)
            subtract_borrow(salt_word(block->salts + SCALAR_BYTES * i, 8 * k), ORDER[k], &borrow);
        if (!borrow) return false;
    }
    return true;
}

/* Where a row is read on: bit `within` of scalar number `scalar`, entries first, salts after them. */
typedef struct {
    size_t scalar;
    unsigned within;
} cursor;

static cursor cursor_at(const row_plan *plan, size_t bit) {
    size_t entry_end = plan->entries * plan->entry_bits;
    if (bit < entry_end) return (cursor){bit / plan->entry_bits, (unsigned)(bit % plan->entry_bits)};
    bit -= entry_end;
    return (cursor){plan->entries + bit / SCALAR_BITS, (unsigned)(bit % SCALAR_BITS)};
}

/* The next bits of a row, at most 32 of them: what is left of an entry, or a piece of a salt. `size` says how many. */
INLINE uint64_t next_bits(const row_plan *plan, const row_block *block, size_t row, cursor *at, unsigned *size) {
    uint64_t value;
    if (at->scalar < plan->entries) {
        *size = plan->entry_bits - at->within;
        value = (uint32_t)entry_at(plan, block, row, at->scalar) >> at->within & ((UINT32_C(1) << *size) - 1);
        at->scalar++;
        at->within = 0;
    } else {
        *size = SCALAR_BITS - at->within < 32 ? SCALAR_BITS - at->within : 32;
        value = salt_bits(plan, block, row, at->scalar - plan->entries, at->within, *size);
        at->within += *size;
        if (at->within == SCALAR_BITS) *at = (cursor){at->scalar + 1, 0};
    }
    return value;
}

void window_digits(const row_plan *plan, const row_block *block, size_t at, unsigned width, unsigned count,
                   uint16_t *digits, size_t stride) {
    const cursor first = cursor_at(plan, at); /* the same in every row */
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    for (size_t r = 0; r < block->rows; r++) {
        cursor here = first;
        uint64_t bits = 0;
        unsigned have = 0, size;
        for (unsigned c = 0; c < count; c++) {
            while (have < width) {
                bits |= next_bits(plan, block, r, &here, &size) << have;
                have += size;
            }
            digits[c * stride + r] = (uint16_t)(bits & mask);
            bits >>= width;
            have -= width;
        }
    }
}
