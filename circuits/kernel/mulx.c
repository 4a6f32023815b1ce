/* The kernel for x86-64 with mulx, adcx and adox: Intel since Broadwell, AMD since Zen. */
#if defined(__x86_64__)
#include "mulx.h" /* first: it chooses the product */
#include "processor.h"
#include "scalar_kernel.h"

const row_kernel mulx_kernel = SCALAR_KERNEL("mulx", processor_has_mulx);
#endif
