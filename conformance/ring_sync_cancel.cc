// Cancelation by registration: the call returns when it is done, and says how it went.

#include <poll.h>

#include <cerrno>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

uapi::SyncCancel of(std::uint64_t user_data, std::uint32_t flags = 0, int fd = -1) {
  uapi::SyncCancel request{};
  request.addr = user_data;
  request.flags = flags;
  request.fd = fd;
  request.timeout = {-1, -1};
  return request;
}

int cancel(Ring& ring, uapi::SyncCancel request) { return ring.register_op(IORING_REGISTER_SYNC_CANCEL, &request, 1); }

void submit_poll(Ring& ring, int fd, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_add(&sqe, fd, POLLIN);
  sqe.user_data = user_data;
  submit_all(ring);
}

}  // namespace

std::vector<Behaviour> ring_sync_cancel_behaviours() {
  const std::string suite = "RingSyncCancel";
  const Needs needs{.register_ops = {IORING_REGISTER_SYNC_CANCEL}};
  const Needs by_op{.register_ops = {IORING_REGISTER_SYNC_CANCEL}, .switches_on = {&Semantics::cancel_by_op}};
  return {
      {suite, "EndsARequest", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_poll(ring, pipe.read_end.get(), 1);
         EXPECT_EQ(cancel(ring, of(1)), 0);
         EXPECT_EQ(take(ring), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(cancel(ring, of(1)), -ENOENT);
       }},
      {suite, "EndsATimeout", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec hour{3600, 0};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout(&sqe, &hour, 0, 0);
         sqe.user_data = 5;
         submit_all(ring);
         EXPECT_EQ(cancel(ring, of(5)), 0);
         EXPECT_EQ(take(ring), (Completion{5, -ECANCELED, 0}));
       }},
      {suite, "EndsOneOfSeveral", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_poll(ring, pipe.read_end.get(), 1);
         submit_poll(ring, pipe.read_end.get(), 1);
         EXPECT_EQ(cancel(ring, of(1)), 0);
         EXPECT_EQ(take(ring).res, -ECANCELED);
         EXPECT_EQ(ring.cq_ready(), 0u);
         EXPECT_EQ(cancel(ring, of(1)), 0);
         EXPECT_EQ(take(ring).res, -ECANCELED);
       }},
      {suite, "EndsAllOfOneUserDataAndCountsThem", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         for (int i = 0; i < 3; ++i) submit_poll(ring, pipe.read_end.get(), 1);
         submit_poll(ring, pipe.read_end.get(), 2);
         EXPECT_EQ(cancel(ring, of(1, IORING_ASYNC_CANCEL_ALL)), 3);
         for (const Completion& completion : take(ring, 3)) EXPECT_EQ(completion, (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(cancel(ring, of(1, IORING_ASYNC_CANCEL_ALL)), 0) << "none is no error";
       }},
      {suite, "EndsWhatIsInFlightOnAFile", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const Pipe other = make_pipe();
         submit_poll(ring, pipe.read_end.get(), 1);
         submit_poll(ring, other.read_end.get(), 2);
         EXPECT_EQ(cancel(ring, of(0, IORING_ASYNC_CANCEL_FD, other.read_end.get())), 0);
         EXPECT_EQ(take(ring), (Completion{2, -ECANCELED, 0}));
         EXPECT_EQ(cancel(ring, of(0, IORING_ASYNC_CANCEL_FD, other.read_end.get())), -ENOENT);
       }},
      {suite, "EndsWhatIsInFlightOnARegisteredFile", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const int fd = pipe.read_end.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         submit_poll(ring, fd, 1);
         constexpr std::uint32_t kFixed = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED;
         EXPECT_EQ(cancel(ring, of(0, kFixed, 0)), 0);
         EXPECT_EQ(take(ring), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(cancel(ring, of(0, kFixed, 1)), -EBADF) << "that slot does not exist";
       }},
      {suite, "EndsAnythingAndCountsIt", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_poll(ring, pipe.read_end.get(), 1);
         submit_poll(ring, pipe.read_end.get(), 2);
         EXPECT_EQ(cancel(ring, of(0, IORING_ASYNC_CANCEL_ANY)), 2);
         for (const Completion& completion : take(ring, 2)) EXPECT_EQ(completion.res, -ECANCELED);
       }},
      {suite, "EndsByOpcode", by_op,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_poll(ring, pipe.read_end.get(), 1);
         uapi::SyncCancel request = of(0, uapi::kAsyncCancelOp);
         request.opcode = IORING_OP_TIMEOUT;
         EXPECT_EQ(cancel(ring, request), -ENOENT);
         request.opcode = IORING_OP_POLL_ADD;
         EXPECT_EQ(cancel(ring, request), 0);
         EXPECT_EQ(take(ring), (Completion{1, -ECANCELED, 0}));
       }},
      {suite, "RefusesAFileThatIsNotOpen", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(cancel(ring, of(0, IORING_ASYNC_CANCEL_FD, -1)), -EBADF);
       }},
      {suite, "RefusesWhatItDoesNotKnow", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(cancel(ring, of(1, 1u << 20)), -EINVAL);
         uapi::SyncCancel request = of(1);
         request.pad2[2] = 1;
         EXPECT_EQ(cancel(ring, request), -EINVAL);
         request = of(1);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_SYNC_CANCEL, &request, 2), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_SYNC_CANCEL, nullptr, 1), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_SYNC_CANCEL, reinterpret_cast<void*>(1), 1), -EFAULT);
       }},
  };
}

}  // namespace assay::conformance
