/* The field's product for x86-64 processors with mulx (BMI2) and two carry chains (ADX: adcx, adox). */
#ifndef HUREF_MULX_H
#define HUREF_MULX_H

#include "words.h"

/* One step of b: t += a b[i], then t := (t + m q) / 2^64. Macros of assembler text; %[top] is t's fifth word. */
#define ADD_ROW(B)                                                              \
    "mov " B "(%[b]), %%rdx\n\t"                                                \
    "xor %k[low], %k[low]\n\t" /* both carries := 0 */                          \
    "mulx 0(%[a]), %[low], %[high]\n\tadcx %[low], %[t0]\n\tadox %[high], %[t1]\n\t" \
    "mulx 8(%[a]), %[low], %[high]\n\tadcx %[low], %[t1]\n\tadox %[high], %[t2]\n\t" \
    "mulx 16(%[a]), %[low], %[high]\n\tadcx %[low], %[t2]\n\tadox %[high], %[t3]\n\t" \
    "mulx 24(%[a]), %[low], %[top]\n\tadcx %[low], %[t3]\n\t"                   \
    "mov $0, %k[low]\n\tadcx %[low], %[top]\n\tadox %[low], %[top]\n\t"

#define REDUCE                                                                  \
    "mov %[minus], %%rdx\n\timul %[t0], %%rdx\n\t" /* m */                      \
    "xor %k[low], %k[low]\n\t"                                                  \
    "mulx 0(%[q]), %[low], %[high]\n\tadcx %[t0], %[low]\n\tmov %[high], %[t0]\n\t" \
    "adcx %[t1], %[t0]\n\tmulx 8(%[q]), %[low], %[t1]\n\tadox %[low], %[t0]\n\t" \
    "adcx %[t2], %[t1]\n\tmulx 16(%[q]), %[low], %[t2]\n\tadox %[low], %[t1]\n\t" \
    "adcx %[t3], %[t2]\n\tmulx 24(%[q]), %[low], %[t3]\n\tadox %[low], %[t2]\n\t" \
    "mov $0, %k[low]\n\tadcx %[low], %[t3]\n\tadox %[top], %[t3]\n\t"

/* a b / R mod q as `fq_multiply_portable`; a, b < 2q keep every sum below 2^320 */
INLINE void fq_multiply_mulx(fq *result, const fq *left, const fq *right) {
    static const uint64_t minus = MINUS_Q_INVERSE;
    uint64_t t0, t1, t2, t3, top, low, high;
    __asm__(
        "mov 0(%[b]), %%rdx\n\t"
        "xor %k[low], %k[low]\n\t"
        "mulx 0(%[a]), %[t0], %[t1]\n\t"
        "mulx 8(%[a]), %[low], %[t2]\n\tadox %[low], %[t1]\n\t"
        "mulx 16(%[a]), %[low], %[t3]\n\tadox %[low], %[t2]\n\t"
        "mulx 24(%[a]), %[low], %[top]\n\tadox %[low], %[t3]\n\t"
        "mov $0, %k[low]\n\tadox %[low], %[top]\n\t"
        REDUCE ADD_ROW("8") REDUCE ADD_ROW("16") REDUCE ADD_ROW("24") REDUCE
        : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [top] "=&r"(top), [low] "=&r"(low),
          [high] "=&r"(high)
        : [a] "r"(left->word), [b] "r"(right->word), [q] "r"(Q.word), [minus] "m"(minus), "m"(*left), "m"(*right),
          "m"(Q)
        : "rdx", "cc");
    *result = (fq){{t0, t1, t2, t3}};
}

#define FQ_MULTIPLY fq_multiply_mulx

#endif
