// A program that uses liburing as programs do. It is built twice, with liburing (`assay-bench-liburing`) and
// with assay::liburing in its place (`assay-bench-drop-in`), and does what assay-bench orders (subject_protocol.h). One
// process cannot hold both: they export the same functions.

#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "assay/bench/interference.h"
#include "assay/bench/subject_protocol.h"

namespace assay::bench {
namespace {

constexpr unsigned kBlock = 4096;
constexpr std::uint32_t kBlocks = 1024;  // BlockFile's

void send_answer(const SubjectAnswer& answer) { ::send(STDIN_FILENO, &answer, sizeof answer, MSG_NOSIGNAL); }

[[noreturn]] void give_up(const char* what, int error) {
  SubjectAnswer answer{.error = error < 0 ? -error : error};
  std::snprintf(answer.what, sizeof answer.what, "%s", what);
  send_answer(answer);
  ::_exit(1);
}

class Subject {
 public:
  Subject(bool reads, unsigned setup_flags) : reads_(reads) {
    io_uring_params params{};
    params.flags = setup_flags;
    const int result = io_uring_queue_init_params(kSubjectMaxBatch, &ring_, &params);
    if (result < 0) give_up("io_uring_queue_init_params", result);
    if (reads_) buffers_.resize(std::size_t{kSubjectMaxBatch} * kBlock);
  }

  void round(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) prepare(i);
    const int submitted = io_uring_submit_and_wait(&ring_, batch);
    if (submitted < 0) give_up("io_uring_submit_and_wait", submitted);
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      check(*cqe);
      ++seen;
    }
    io_uring_cq_advance(&ring_, seen);
    if (seen != batch) give_up("a completion that is missing", EIO);
  }

 private:
  void prepare(unsigned i) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) give_up("io_uring_get_sqe", EBUSY);
    if (!reads_) return io_uring_prep_nop(sqe);
    const std::uint32_t block = next_block_++ % kBlocks;
    io_uring_prep_read(sqe, kSubjectFile, &buffers_[std::size_t{i} * kBlock], kBlock, std::uint64_t{block} * kBlock);
    sqe->user_data = std::uint64_t{block} << 32 | i;
  }
  void check(const io_uring_cqe& cqe) {
    if (!reads_) {
      if (cqe.res != 0) give_up("a NOP", cqe.res);
      return;
    }
    std::uint32_t number = 0;
    if (cqe.res == static_cast<int>(kBlock)) {
      std::memcpy(&number, &buffers_[std::size_t{static_cast<std::uint32_t>(cqe.user_data)} * kBlock], sizeof number);
    }
    if (cqe.res != static_cast<int>(kBlock) || number != cqe.user_data >> 32) {
      give_up("a read", cqe.res < 0 ? cqe.res : EIO);
    }
  }

  bool reads_;
  io_uring ring_{};
  std::vector<char> buffers_;
  std::uint32_t next_block_ = 0;
};

int serve(bool reads, unsigned setup_flags) {
  Subject subject(reads, setup_flags);
  send_answer({});
  Interference interference;
  SubjectOrder order;
  while (::recv(STDIN_FILENO, &order, sizeof order, 0) == static_cast<ssize_t>(sizeof order)) {
    if (order.batch == 0 || order.batch > kSubjectMaxBatch) give_up("such a batch", EINVAL);
    interference.start();
    for (std::uint64_t i = 0; i < order.rounds; ++i) subject.round(order.batch);
    const double others = interference.stop();
    const double own = std::chrono::duration<double, std::nano>(interference.wall()).count() * (1 - others);
    send_answer({.nanoseconds = static_cast<std::uint64_t>(own), .operations = order.batch * order.rounds});
  }
  return 0;
}

}  // namespace
}  // namespace assay::bench

int main(int argc, char** argv) {
  if (argc == 3) {
    const std::string_view work = argv[1];
    const std::string_view setup = argv[2];
    if ((work == "nop" || work == "read") && (setup == "plain" || setup == "deferred")) {
      return assay::bench::serve(work == "read",
                                 setup == "plain" ? 0U : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    }
  }
  std::fprintf(stderr, "usage: %s nop|read plain|deferred (assay-bench runs it, and talks to its standard input)\n",
               argc > 0 ? argv[0] : "assay-bench-drop-in");
  return 2;
}
