// Rings that one thread alone may submit to: what others may still do.

#include <cerrno>
#include <functional>
#include <thread>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

int elsewhere(const std::function<int()>& call) {
  int result = 0;
  std::thread([&] { result = call(); }).join();
  return result;
}

Ring open_single(KernelUnderTest& kernel, std::uint32_t more = 0) {
  return open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER | more});
}

}  // namespace

std::vector<Behaviour> ring_single_issuer_behaviours() {
  const std::string suite = "RingSingleIssuer";
  const Needs single{.setup_flags = IORING_SETUP_SINGLE_ISSUER};
  const Needs disabled{.setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED};
  return {
      {suite, "LetsAnotherThreadWait", single,
       [](KernelUnderTest& kernel) {
         Ring ring = open_single(kernel);
         prepare_nop(ring, 1);
         submit_all(ring);
         EXPECT_EQ(
             elsewhere([&] { return kernel.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, 8); }), 0);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite, "LeavesAnSqeWhereItIsWhenItRefusesTheThread", single,
       [](KernelUnderTest& kernel) {
         Ring ring = open_single(kernel);
         prepare_nop(ring, 1);
         ring.flush_sq();
         EXPECT_EQ(elsewhere([&] { return kernel.kernel().enter(ring.fd(), 1, 0, 0, nullptr, 0); }), -EEXIST);
         EXPECT_EQ(ring.sq_ready(), 1u);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 0, 0, nullptr, 0), 1);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite, "RefusesAnotherThreadEveryRegistration", single,
       [](KernelUnderTest& kernel) {
         Ring ring = open_single(kernel);
         EXPECT_EQ(elsewhere([&] { return ring.unregister_files(); }), -EEXIST);
         EXPECT_EQ(elsewhere([&] { return ring.enable(); }), -EEXIST);
         EXPECT_EQ(elsewhere([&] { return ring.register_op(IORING_REGISTER_PERSONALITY, nullptr, 0); }), -EEXIST);
       }},
      {suite, "LetsAnyThreadRegisterBeforeItIsEnabled", disabled,
       [](KernelUnderTest& kernel) {
         Ring ring = open_single(kernel, IORING_SETUP_R_DISABLED);
         EXPECT_EQ(elsewhere([&] { return ring.register_op(IORING_REGISTER_PERSONALITY, nullptr, 0); }), 1);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_PERSONALITY, nullptr, 0), 2);
       }},
      {suite,
       "TakesMessagesFromAnyThread",
       {.opcodes = {IORING_OP_MSG_RING}, .setup_flags = IORING_SETUP_SINGLE_ISSUER},
       [](KernelUnderTest& kernel) {
         Ring ring = open_single(kernel);
         EXPECT_EQ(elsewhere([&] {
                     Ring other = open_ring(kernel);
                     io_uring_sqe& sqe = next_sqe(other, 1);
                     sqe.opcode = IORING_OP_MSG_RING;
                     sqe.fd = ring.fd();
                     sqe.off = 9;
                     return run_one(other).res;
                   }),
                   0);
         EXPECT_EQ(take(ring).user_data, 9u);
       }},
      {suite,
       "LetsAPollThreadSubmit",
       {.setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL},
       [](KernelUnderTest& kernel) {
         Ring ring = open_single(kernel, IORING_SETUP_SQPOLL);
         prepare_nop(ring, 1);
         ring.flush_sq();
         EXPECT_EQ(elsewhere([&] {
                     return kernel.kernel().enter(ring.fd(), 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP,
                                                  nullptr, 8);
                   }),
                   1);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite, "IsClosedByAnyThread", single,
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = IORING_SETUP_SINGLE_ISSUER;
         const int fd = kernel.kernel().setup(4, &params);
         ASSERT_GE(fd, 0);
         EXPECT_EQ(elsewhere([&] { return kernel.kernel().close(fd); }), 0);
       }},
  };
}

}  // namespace assay::conformance
