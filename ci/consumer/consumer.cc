// One request through the installed package: over the simulated kernel always, over the running one where it may be.

#include <cstdio>

#include <assay/backend/ring.h>
#include <assay/faultinject/kernel_stack.h>

int main() {
  for (const char* spelling : {"sim:linux-6.12.0", "linux"}) {
    auto stack = assay::open_kernel_stack({.kernel = spelling});
    if (!stack) {
      std::fprintf(stderr, "%s\n", stack.error().message().c_str());
      return 1;
    }
    auto ring = assay::Ring::create((*stack)->top());
    if (!ring) {
      std::printf("%s: %s\n", spelling, ring.error().message().c_str());
      if (spelling[0] == 's') return 1;
      continue;
    }
    io_uring_sqe* sqe = ring->get_sqe();
    io_uring_prep_nop(sqe);
    sqe->user_data = 7;
    if (ring->submit_and_wait(1) != 1) return 1;
    const io_uring_cqe* cqe = ring->peek_cqe();
    if (cqe == nullptr || cqe->user_data != 7 || cqe->res != 0) return 1;
    std::printf("%s: a NOP went through\n", spelling);
  }
  return 0;
}
