/* What this processor, under this operating system, can run. */
#ifndef HUREF_PROCESSOR_H
#define HUREF_PROCESSOR_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>

enum { LEAF_FEATURES = 1, LEAF_EXTENDED = 7 };

/* Intel 64 manual, volume 2, CPUID; leaf 7, register ebx */
#define EBX_BMI2 (UINT32_C(1) << 8)
#define EBX_AVX512F (UINT32_C(1) << 16)
#define EBX_ADX (UINT32_C(1) << 19)
#define EBX_AVX512IFMA (UINT32_C(1) << 21)
/* leaf 1, register ecx */
#define ECX_OSXSAVE (UINT32_C(1) << 27)
/* XCR0: SSE, AVX, the three parts of AVX-512 */
#define XCR0_AVX512 UINT32_C(0xe6)

static inline bool processor_has(uint32_t ebx_bits) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(LEAF_EXTENDED, 0, &eax, &ebx, &ecx, &edx) && (ebx & ebx_bits) == ebx_bits;
}

static inline __attribute__((unused)) bool processor_has_mulx(void) { return processor_has(EBX_BMI2 | EBX_ADX); }

static inline __attribute__((unused)) bool processor_has_ifma(void) {
    unsigned eax, ebx, ecx, edx;
    if (!processor_has_mulx() || !processor_has(EBX_AVX512F | EBX_AVX512IFMA)) return false;
    if (!__get_cpuid(LEAF_FEATURES, &eax, &ebx, &ecx, &edx) || !(ecx & ECX_OSXSAVE)) return false;
    uint32_t low, high; /* whether the system saves the large registers */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & XCR0_AVX512) == XCR0_AVX512;
}

#endif
