/* A C program that knows liburing alone. It is linked with the drop-in and told by the environment where it runs. */

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Reads the whole of a file, however short the reads, however often it is interrupted. */
static ssize_t read_all(struct io_uring* ring, int fd, char* buffer, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    struct io_uring_sqe* sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe* cqe;
    int result;
    io_uring_prep_read(sqe, fd, buffer + done, (unsigned)(bytes - done), done);
    do {
      result = io_uring_submit(ring);
    } while (result == -EINTR);
    if (result < 0) return result;
    do {
      result = io_uring_wait_cqe(ring, &cqe);
    } while (result == -EINTR);
    if (result < 0) return result;
    result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    if (result < 0) return result;
    if (result == 0) break;
    done += (size_t)result;
  }
  return (ssize_t)done;
}

int main(int argc, char** argv) {
  char first[512], second[512];
  struct io_uring ring;
  int fd, result;
  ssize_t expected, got;
  if (argc != 2) return 3;
  fd = open(argv[1], O_RDONLY);
  expected = pread(fd, first, sizeof first, 0);
  result = io_uring_queue_init(8, &ring, 0);
  if (result < 0) {
    fprintf(stderr, "io_uring_queue_init: %s\n", strerror(-result));
    return 1;
  }
  got = read_all(&ring, fd, second, sizeof second);
  io_uring_queue_exit(&ring);
  close(fd);
  if (expected <= 0 || got != expected || memcmp(first, second, (size_t)got) != 0) {
    fprintf(stderr, "read %zd bytes, expected %zd\n", got, expected);
    return 1;
  }
  return 0;
}
