/* Folding and quantizing for x86-64 with AVX2: four doubles at a time. */
#if defined(__x86_64__)
#include "processor_avx.h"
/* */
#include <stdlib.h>
#include <string.h>

#include "fold.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC optimize("O3,no-trapping-math") /* loops over entries become vector code; no value changes */
#pragma GCC target("avx2")
#endif
#define FOLD_WIDTH 4
#define FOLD_ROWS 2
#define FOLD_LEFT 2
#include "fold_rows.h"

const fold_kernel avx2_fold = FOLD_KERNEL("avx2", processor_has_avx2);
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
