/* A program that knows liburing alone, over assay::liburing: the environment bends its first call, so it was no kernel
 * that liburing itself would have reached. */

#include <errno.h>
#include <liburing.h>

int main(void) {
  struct io_uring ring;
  struct io_uring_cqe* cqe;
  int result;
  if (io_uring_queue_init(4, &ring, 0) != 0) return 1;
  io_uring_prep_nop(io_uring_get_sqe(&ring));
  if (io_uring_submit(&ring) != -EINTR) return 2;
  if (io_uring_submit(&ring) != 1) return 3;
  if (io_uring_wait_cqe(&ring, &cqe) != 0) return 4;
  result = cqe->res;
  io_uring_cqe_seen(&ring, cqe);
  io_uring_queue_exit(&ring);
  return result == 0 ? 0 : 5;
}
