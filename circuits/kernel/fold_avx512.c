/* Folding and quantizing for x86-64 with AVX-512: eight doubles at a time. */
#if defined(__x86_64__)
#include "processor_avx.h"
/* */
#include <stdlib.h>
#include <string.h>

#include "fold.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC optimize("O3,no-trapping-math") /* loops over entries become vector code; no value changes */
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#endif
#define FOLD_WIDTH 8
#define FOLD_ROWS 4
#define FOLD_LEFT 4
#include "fold_rows.h"

const fold_kernel avx512_fold = FOLD_KERNEL("avx512", processor_has_avx512);
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
