// The program that live_control_test drives from outside: for each line on its standard input it submits one NOP, and
// prints what the submission returned.

#include <iostream>
#include <string>

#include "assay/backend/ring.h"
#include "assay/faultinject/kernel_stack.h"

int main() {
  const auto stack = assay::open_kernel_stack({.kernel = "sim:linux-6.12.0"});
  if (!stack) return std::cerr << stack.error().message() << "\n", 2;
  assay::Result<assay::Ring> ring = assay::Ring::create((*stack)->top());
  if (!ring) return std::cerr << ring.error().message() << "\n", 2;
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (ring->sq_ready() == 0) io_uring_prep_nop(ring->get_sqe());
    std::cout << ring->submit() << std::endl;
    ring->for_each_cqe([](const io_uring_cqe&) {});
  }
}
