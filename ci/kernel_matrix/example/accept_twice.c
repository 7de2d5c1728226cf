// One multishot accept serves two clients. Linux can do that from 5.19 on.
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/accept_twice"};
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 2) != 0) return 2;

  struct io_uring ring;
  int error = io_uring_queue_init(8, &ring, 0);
  if (error != 0) return printf("no ring: %s\n", strerror(-error)), 2;
  io_uring_prep_multishot_accept(io_uring_get_sqe(&ring), listener, NULL, NULL, 0);
  io_uring_submit(&ring);

  for (int client = 1; client <= 2; client++) {
    connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, sizeof address);
    struct io_uring_cqe* cqe;
    struct __kernel_timespec second = {.tv_sec = 1};
    error = io_uring_wait_cqe_timeout(&ring, &cqe, &second);
    if (error == 0 && cqe->res < 0) error = cqe->res;
    if (error != 0) return printf("client %d was not accepted: %s\n", client, strerror(-error)), 1;
    printf("client %d accepted\n", client);
    io_uring_cqe_seen(&ring, cqe);
  }
  return 0;
}
