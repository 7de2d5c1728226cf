// OPENAT of a FIFO, which waits in a worker until the other end is opened, and does not wait during submission.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

void make_fifo(const Folder& folder) { ASSERT_EQ(::mkfifoat(folder.fd(), "fifo", 0600), 0); }

io_uring_sqe& prepare_open(Ring& ring, const Folder& folder, int flags, std::uint64_t user_data = 0) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  io_uring_prep_openat(&sqe, folder.fd(), "fifo", flags, 0);
  sqe.user_data = user_data;
  return sqe;
}

/// Opens one end in a worker and the other by a call on another thread, which waits as well, and sends a byte through.
void expect_meeting(KernelUnderTest& kernel, int flags, int other_flags) {
  Ring ring = open_ring(kernel);
  const Folder folder;
  make_fifo(folder);
  prepare_open(ring, folder, flags).flags = IOSQE_ASYNC;
  Fd other;
  std::thread opener([&] { other.reset(::openat(folder.fd(), "fifo", other_flags)); });
  const Fd opened(result(ring));
  opener.join();
  ASSERT_GE(other.get(), 0);
  ASSERT_GE(opened.get(), 0);
  EXPECT_EQ(::fcntl(opened.get(), F_GETFL) & (O_NONBLOCK | O_ACCMODE), flags & O_ACCMODE);
  const bool reads = (flags & O_ACCMODE) == O_RDONLY;
  write_text(reads ? other.get() : opened.get(), "x");
  EXPECT_EQ(read_text(reads ? opened.get() : other.get(), 1), "x");
}

}  // namespace

std::vector<Behaviour> ring_open_fifo_behaviours() {
  const std::string suite = "RingOpenFifo";
  const Needs at_once{.opcodes = {IORING_OP_OPENAT}, .switches_on = {&Semantics::open_at_once}};
  const Needs threads{.opcodes = {IORING_OP_OPENAT}, .real_clock = true};
  return {
      {suite, "OpensForReadingAtOnceDuringSubmission", at_once,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         make_fifo(folder);
         prepare_open(ring, folder, O_RDONLY);
         const Fd opened(result(ring));
         ASSERT_GE(opened.get(), 0);
         EXPECT_EQ(::fcntl(opened.get(), F_GETFL) & O_NONBLOCK, 0) << "which it was opened with, and did not ask for";
       }},
      {suite, "RefusesToWriteDuringSubmissionWhereNobodyReads", at_once,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         make_fifo(folder);
         prepare_open(ring, folder, O_WRONLY);
         EXPECT_EQ(result(ring), -ENXIO);
       }},
      {suite, "AWorkerThatReadsWaitsForAWriter", threads,
       [](KernelUnderTest& kernel) { expect_meeting(kernel, O_RDONLY, O_WRONLY); }},
      {suite, "AWorkerThatWritesWaitsForAReader", threads,
       [](KernelUnderTest& kernel) { expect_meeting(kernel, O_WRONLY | O_CLOEXEC, O_RDONLY); }},
  };
}

}  // namespace assay::conformance
