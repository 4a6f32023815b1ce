/* Runs every kernel on the cases of a file, for a build with sanitizers: test_sanitizers.py writes the file.

   A case: five u64 (entries, salts, bits, rows, expected answer of `huref_commit`), bases, entries, salts, points. */
#include <stdio.h>
#include <stdlib.h>

#include "library.h"

static void *take(FILE *file, size_t count, size_t size) {
    size_t bytes = count * size;
    void *memory = malloc(bytes > 0 ? bytes : 1); /* no more: reading past the end is seen */
    if (!memory || fread(memory, size, count, file) != count) {
        fprintf(stderr, "the file of cases ends early\n");
        exit(2);
    }
    return memory;
}

static int run_case(FILE *file, const uint64_t *head) {
    size_t entries = head[0], salts = head[1], rows = head[3];
    unsigned bits = (unsigned)head[2];
    uint8_t *bases = take(file, entries + salts, POINT_BYTES);
    void *matrix = take(file, rows * entries, bits <= 8 ? 1 : 2);
    uint8_t *salted = take(file, rows * salts, SCALAR_BYTES);
    uint8_t *expected = take(file, rows, POINT_BYTES), *points = malloc(rows * POINT_BYTES + 1);
    row_plan *plan;
    int bad = huref_plan_new(bases, entries, salts, bits, &plan) != HUREF_OK;
    for (int kernel = 0; !bad && huref_kernel_name(kernel); kernel++)
        for (size_t fault = 0; fault <= 300; fault += 150) {
            size_t redone;
            int answer = huref_commit(plan, kernel, matrix, salted, rows, fault, points, &redone);
            bool wrong = answer == HUREF_OK && fault == 0 && memcmp(points, expected, rows * POINT_BYTES) != 0;
            if (answer != (int)head[4] || wrong) {
                fprintf(stderr, "%s: answer %d, wrong %d\n", huref_kernel_name(kernel), answer, wrong);
                bad = 1;
            }
        }
    huref_plan_free(plan);
    free(bases);
    free(matrix);
    free(salted);
    free(expected);
    free(points);
    return bad;
}

int main(int count, char **arguments) {
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    uint64_t head[5];
    int bad = file == NULL, cases = 0;
    while (file && fread(head, sizeof head, 1, file) == 1) {
        bad |= run_case(file, head);
        cases++;
    }
    if (file) fclose(file);
    for (int kernel = 0; huref_kernel_name(kernel); kernel++) printf("%s ", huref_kernel_name(kernel));
    printf("%d cases\n", cases);
    return bad;
}
