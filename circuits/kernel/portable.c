/* The portable kernel: C11 and nothing else, for any processor. */
#include "scalar_kernel.h"

static bool everywhere(void) { return true; }

const row_kernel portable_kernel = SCALAR_KERNEL("portable", everywhere);
