/* What Python sees. Every function is safe to call from several threads; a plan is only read once it is made. */
#ifndef HUREF_LIBRARY_H
#define HUREF_LIBRARY_H

#include "kernel.h"

#define HUREF_EXPORT __attribute__((visibility("default")))

enum { MAX_SCALARS = 1 << 24 };

enum {
    HUREF_OK = 0,
    HUREF_NO_MEMORY = 1,
    HUREF_BAD_SHAPE = 2,  /* sizes that this library does not take */
    HUREF_BAD_BASE = 3,   /* a base is not on the curve, or is the identity, or bases cancel one another */
    HUREF_BAD_SCALAR = 4, /* an entry does not fit its bits, or a scalar is not below the group's order */
    HUREF_NO_KERNEL = 5,  /* no such kernel on this machine */
};

/* The number of this interface: the loader refuses another. */
enum { HUREF_INTERFACE = 2 };

HUREF_EXPORT int huref_interface(void);

/* Kernel number `index`, fastest first: its name, or NULL past the last one that this machine runs. */
HUREF_EXPORT const char *huref_kernel_name(int index);

/* `bases`: entries + salts points of 64 bytes big-endian. 2 <= entry_bits <= 16. */
HUREF_EXPORT int huref_plan_new(const uint8_t *bases, size_t entries, size_t salts, unsigned entry_bits,
                                row_plan **made);
HUREF_EXPORT void huref_plan_free(row_plan *plan);

/* C of each row by kernel number `kernel`: `points` is rows * 64 bytes big-endian, zeros for the identity; `redone`
   says how many rows met an exceptional addition. `fault` is for tests: bit `fault` - 1 of each table that is made is
   flipped; 0 for none. */
HUREF_EXPORT int huref_commit(const row_plan *plan, int kernel, const void *entries, const uint8_t *salts, size_t rows,
                              size_t fault, uint8_t *points, size_t *redone);

#endif
