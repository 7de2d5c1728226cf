// Rings that one thread alone may submit to: what others may still do.

#include <poll.h>
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

constexpr std::uint32_t kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

/// Whether the eventfd says that there is something before anybody asked for the completion: whoever waits for it asks
/// because of that.
bool is_told_of_deferred_work(KernelUnderTest& kernel, Ring& ring, const Fd& eventfd, int patience_ms) {
  const Pipe pipe = make_pipe();
  io_uring_sqe& sqe = next_sqe(ring, 1);
  sqe.opcode = IORING_OP_POLL_ADD;
  sqe.fd = pipe.read_end.get();
  sqe.poll32_events = POLLIN;
  submit_all(ring);
  EXPECT_EQ(eventfd_count(eventfd.get()), 0u);
  write_text(pipe.write_end.get(), "x");
  kernel.kernel().relax(ring.fd());
  // Since 7.1 the signal comes a little later.
  pollfd readable{.fd = eventfd.get(), .events = POLLIN, .revents = 0};
  const bool told = ::poll(&readable, 1, patience_ms) == 1;
  EXPECT_EQ(take(ring).user_data, 1u);
  eventfd_count(eventfd.get());
  return told;
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
      {suite,
       "SignalsItsEventfdForDeferredWorkEachTime",
       {.setup_flags = kDeferred, .switches_off = {&Semantics::deferred_eventfd_once}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         const Fd eventfd = make_eventfd();
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         for (int round = 0; round < 3; ++round)
           EXPECT_TRUE(is_told_of_deferred_work(kernel, ring, eventfd, 5000)) << round;
       }},
      {suite,
       "SignalsItsEventfdForDeferredWorkOnce",
       {.setup_flags = kDeferred, .switches_on = {&Semantics::deferred_eventfd_once}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         const Fd eventfd = make_eventfd();
         for (int times = 0; times < 2; ++times) {
           ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
           for (int round = 0; round < 3; ++round)
             EXPECT_EQ(is_told_of_deferred_work(kernel, ring, eventfd, round == 0 ? 5000 : 50), round == 0) << round;
           ASSERT_EQ(ring.unregister_eventfd(), 0);
         }
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
