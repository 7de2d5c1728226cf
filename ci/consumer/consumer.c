#define _GNU_SOURCE
#include <assay/backend/kernel_c.h>

/* The header is usable from C, and a table can be filled by hand. */
static int no_setup(void* self, unsigned entries, struct io_uring_params* params) {
  (void)self;
  (void)entries;
  (void)params;
  return -38;
}

int main(void) {
  struct assay_kernel kernel = {.setup = no_setup};
  return kernel.setup(kernel.self, 8, 0) == -38 ? 0 : 1;
}
