// What requests say of a descriptor that is not open, or is a file of another sort.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <span>
#include <vector>

#include "assay/backend/uapi_names.h"
#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

struct Arguments {
  char buffer[4] = {};
  sockaddr_in address = make_dead_address();
  iovec vector{.iov_base = buffer, .iov_len = sizeof buffer};
  msghdr message{};

  Arguments() {
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
  }
};

/// A request of this opcode on this descriptor that nothing else is wrong with.
void prepare(Ring& ring, std::uint8_t opcode, int fd, Arguments& arguments) {
  io_uring_sqe& sqe = next_sqe(ring, opcode);
  switch (opcode) {
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
    case IORING_OP_SENDMSG_ZC:
      io_uring_prep_rw(opcode, &sqe, fd, &arguments.message, 1, 0);
      break;
    case IORING_OP_SEND:
    case IORING_OP_RECV:
    case IORING_OP_SEND_ZC:
    case IORING_OP_READ:
    case IORING_OP_WRITE:
      io_uring_prep_rw(opcode, &sqe, fd, arguments.buffer, sizeof arguments.buffer, 0);
      break;
    case IORING_OP_CONNECT:
    case uapi::kOpBind:
      io_uring_prep_rw(opcode, &sqe, fd, &arguments.address, 0, sizeof arguments.address);
      break;
    case IORING_OP_FALLOCATE:
      io_uring_prep_fallocate(&sqe, fd, 0, 0, 1);
      break;
    case IORING_OP_POLL_ADD:
      io_uring_prep_poll_add(&sqe, fd, POLL_IN);
      break;
    case IORING_OP_SPLICE:
      io_uring_prep_splice(&sqe, fd, -1, fd, -1, 1, 0);
      break;
    default:  // nothing beyond the descriptor need be given
      io_uring_prep_rw(opcode, &sqe, fd, nullptr, 0, 0);
      break;
  }
  sqe.user_data = opcode;
}

constexpr std::uint8_t kOnSockets[] = {IORING_OP_SENDMSG, IORING_OP_RECVMSG,  IORING_OP_SENDMSG_ZC, IORING_OP_SEND,
                                       IORING_OP_RECV,    IORING_OP_SEND_ZC,  IORING_OP_CONNECT,    IORING_OP_ACCEPT,
                                       uapi::kOpBind,     IORING_OP_SHUTDOWN, uapi::kOpListen};
constexpr std::uint8_t kOnAnyFile[] = {IORING_OP_READ,   IORING_OP_WRITE,    IORING_OP_FSYNC,   IORING_OP_FALLOCATE,
                                       IORING_OP_SPLICE, uapi::kOpFtruncate, IORING_OP_POLL_ADD};

void expect_of_each(KernelUnderTest& kernel, Ring& ring, std::span<const std::uint8_t> opcodes, int fd, int error) {
  Arguments arguments;
  for (const std::uint8_t opcode : opcodes) {
    if (!kernel.profile().opcodes.test(opcode)) continue;
    prepare(ring, opcode, fd, arguments);
    const Completion completion = run_one(ring);
    EXPECT_EQ(completion.res, error) << uapi_name(UapiClass::kOpcode, opcode);
    // A zero-copy send that failed has a notification all the same.
    if ((completion.flags & IORING_CQE_F_MORE) != 0) take(ring);
  }
}

}  // namespace

std::vector<Behaviour> ring_bad_files_behaviours() {
  const std::string suite = "RingBadFiles";
  return {
      {suite,
       "ADescriptorThatIsNotOpenIsSaidToBe",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         expect_of_each(kernel, ring, kOnSockets, closed_fd(), -EBADF);
         expect_of_each(kernel, ring, kOnAnyFile, closed_fd(), -EBADF);
       }},
      {suite,
       "AFileThatIsNoSocketIsSaidToBe",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "x");
         expect_of_each(kernel, ring, kOnSockets, pipe.read_end.get(), -ENOTSOCK);
       }},
  };
}

}  // namespace assay::conformance
