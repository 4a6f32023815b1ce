/* Whether this processor, under this operating system, runs AVX2 or AVX-512 code. */
#ifndef HUREF_PROCESSOR_AVX_H
#define HUREF_PROCESSOR_AVX_H

#include <stdbool.h>

/* The compiler's own question: it asks cpuid, and the system whether it saves the registers. */
static inline __attribute__((unused)) bool processor_has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

static inline __attribute__((unused)) bool processor_has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#endif
