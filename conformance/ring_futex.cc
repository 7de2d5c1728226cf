// FUTEX_WAIT, FUTEX_WAKE and FUTEX_WAITV.

#include <linux/futex.h>

#include <cerrno>
#include <chrono>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

// FUTEX2_SIZE_U32 and FUTEX2_PRIVATE, which are newer than the headers we build with.
constexpr std::uint32_t k32Bits = 2;
constexpr std::uint32_t kPrivate = 128;
constexpr std::uint64_t kAll = 0xffffffff;

std::uint64_t address_of(const std::uint32_t& word) { return reinterpret_cast<std::uint64_t>(&word); }

io_uring_sqe& prepare_futex(Ring& ring, std::uint8_t opcode, const std::uint32_t& word, std::uint64_t value,
                            std::uint64_t user_data, std::uint32_t flags = k32Bits | kPrivate) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  sqe.opcode = opcode;
  sqe.fd = static_cast<std::int32_t>(flags);
  sqe.addr = address_of(word);
  sqe.addr2 = value;
  sqe.addr3 = kAll;
  return sqe;
}

/// Waits while `word` is `value`.
io_uring_sqe& prepare_wait(Ring& ring, const std::uint32_t& word, std::uint64_t value, std::uint64_t user_data,
                           std::uint32_t flags = k32Bits | kPrivate) {
  return prepare_futex(ring, uapi::kOpFutexWait, word, value, user_data, flags);
}

/// Wakes up to `most` waiters.
io_uring_sqe& prepare_wake(Ring& ring, const std::uint32_t& word, std::uint64_t most, std::uint64_t user_data,
                           std::uint32_t flags = k32Bits | kPrivate) {
  return prepare_futex(ring, uapi::kOpFutexWake, word, most, user_data, flags);
}

io_uring_sqe& prepare_waitv(Ring& ring, const futex_waitv* words, std::uint32_t count, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  sqe.opcode = uapi::kOpFutexWaitv;
  sqe.addr = reinterpret_cast<std::uint64_t>(words);
  sqe.len = count;
  return sqe;
}

futex_waitv waited(const std::uint32_t& word, std::uint64_t value) {
  return {.val = value, .uaddr = address_of(word), .flags = k32Bits | kPrivate, .__reserved = 0};
}

int wake_now(Ring& ring, const std::uint32_t& word, std::uint64_t most) {
  prepare_wake(ring, word, most, 99);
  return run_one(ring).res;
}

/// Cancels a FUTEX_WAIT, whatever its user_data.
void prepare_cancel_by_opcode(Ring& ring, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_cancel64(&sqe, 0, static_cast<int>(uapi::kAsyncCancelOp));
  sqe.len = uapi::kOpFutexWait;
  sqe.user_data = user_data;
}

/// Everything that is there, after a NOP has gone through.
std::vector<Completion> settle(Ring& ring) {
  prepare_nop(ring, 1000);
  submit_all(ring);
  std::vector<Completion> completions;
  for (;;) {
    completions.push_back(take(ring));
    if (completions.back().user_data == 1000) break;
  }
  completions.pop_back();
  return completions;
}

}  // namespace

std::vector<Behaviour> ring_futex_behaviours() {
  const std::string suite = "RingFutex";
  const Needs wait{.opcodes = {uapi::kOpFutexWait, uapi::kOpFutexWake}};
  const Needs waitv{.opcodes = {uapi::kOpFutexWaitv, uapi::kOpFutexWake}};
  return {
      {suite, "WaitsUntilItIsWoken", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         std::uint32_t word = 3;
         prepare_wait(ring, word, 3, 1);
         submit_all(ring);
         EXPECT_TRUE(settle(ring).empty());
         word = 4;
         prepare_wake(ring, word, 1, 2);
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 2).res, 1) << "one was woken";
       }},
      {suite, "DoesNotWaitWhenTheValueIsAnother", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 3;
         prepare_wait(ring, word, 4, 1);
         EXPECT_EQ(run_one(ring).res, -EAGAIN);
       }},
      {suite, "WakesNobodyWhereNobodyWaits", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 3;
         EXPECT_EQ(wake_now(ring, word, 1), 0);
       }},
      {suite, "WakesNoMoreThanItIsAskedTo", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         for (std::uint64_t waiter = 1; waiter <= 3; ++waiter) prepare_wait(ring, word, 0, waiter);
         submit_all(ring);
         prepare_wake(ring, word, 0, 9);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{9, 0, 0})) << "nobody is woken where nobody is to be";
         prepare_wake(ring, word, 2, 10);
         submit_all(ring);
         const auto completions = take(ring, 3);
         EXPECT_EQ(find(completions, 10).res, 2);
         EXPECT_EQ(find(completions, 1).res, 0) << "the longest waiting first";
         EXPECT_EQ(find(completions, 2).res, 0);
         prepare_wake(ring, word, 5, 11);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 11).res, 1);
       }},
      {suite, "WakesOnlyWaitersThatShareABitOfTheMask", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1).addr3 = 0b01;
         prepare_wait(ring, word, 0, 2).addr3 = 0b10;
         submit_all(ring);
         prepare_wake(ring, word, 5, 9).addr3 = 0b10;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 9).res, 1);
         EXPECT_EQ(find(completions, 2).res, 0);
         EXPECT_EQ(wake_now(ring, word, 5), 1);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite, "TellsPrivateAndSharedFutexesApart", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1, k32Bits);
         submit_all(ring);
         EXPECT_EQ(wake_now(ring, word, 1), 0) << "a private one";
         prepare_wake(ring, word, 1, 2, k32Bits);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 2).res, 1);
       }},
      {suite, "WakesWaitersOfAnotherRing", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Ring other = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(other, word, 0, 1);
         submit_all(other);
         EXPECT_EQ(wake_now(ring, word, 1), 1);
         EXPECT_EQ(take(other), (Completion{1, 0, 0}));
       }},
      {suite, "StopsWaitingWhenCancelled", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1);
         submit_all(ring);
         io_uring_sqe& cancel = next_sqe(ring);
         io_uring_prep_cancel64(&cancel, 1, 0);
         cancel.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 1) << "how many, where other requests are told of by 0";
         EXPECT_EQ(wake_now(ring, word, 1), 0);
       }},
      {suite, "StopsWaitingWhenItsTimeIsOver", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1).flags = IOSQE_IO_LINK;
         // Far enough off that the futex waits by then.
         const std::chrono::nanoseconds delay = 10 * kernel.kernel_case().options.moment;
         __kernel_timespec brief{.tv_sec = 0, .tv_nsec = delay.count()};
         io_uring_sqe& limit = next_sqe(ring);
         io_uring_prep_link_timeout(&limit, &brief, 0);
         limit.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         const bool usual = kernel.profile().semantics.link_timeout_tells_etime;
         EXPECT_EQ(find(completions, 2).res, usual ? -ETIME : 1) << "how many it has cancelled, until Linux 7.3";
       }},
      {suite, "CountsAllWaitersAsOneWhenAllAreCancelled", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         for (int waiter = 0; waiter < 3; ++waiter) prepare_wait(ring, word, 0, 1);
         prepare_wait(ring, word, 0, 5);
         submit_all(ring);
         io_uring_sqe& cancel = next_sqe(ring);
         io_uring_prep_cancel64(&cancel, 1, IORING_ASYNC_CANCEL_ALL);
         cancel.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 4);
         EXPECT_EQ(find(completions, 2).res, 1);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(wake_now(ring, word, 5), 1) << "the one of another user_data still waits";
         EXPECT_EQ(take(ring), (Completion{5, 0, 0}));
       }},
      {suite,
       "IsFoundByItsOpcodeSinceLinux615",
       {.opcodes = {uapi::kOpFutexWait, uapi::kOpFutexWake}, .since = {6, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1);
         submit_all(ring);
         prepare_cancel_by_opcode(ring, 2);
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 1);
       }},
      {suite,
       "IsFoundByItsUserDataOnlyBeforeLinux615",
       {.opcodes = {uapi::kOpFutexWait, uapi::kOpFutexWake}, .until = {6, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1);
         submit_all(ring);
         prepare_cancel_by_opcode(ring, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
         EXPECT_EQ(wake_now(ring, word, 1), 1);
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
       }},
      {suite, "RefusesAnEmptyMask", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1).addr3 = 0;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wake(ring, word, 1, 1).addr3 = 0;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesSizesOtherThan32Bits", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         for (const std::uint32_t size : {0u, 1u, 3u}) {
           prepare_wait(ring, word, 0, 1, size);
           EXPECT_EQ(run_one(ring).res, -EINVAL) << size;
         }
         prepare_wait(ring, word, 0, 1, k32Bits | 64);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "an unknown flag";
         prepare_wait(ring, word, std::uint64_t{1} << 32, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "a value that is too wide";
         prepare_wait(ring, word, 0, 1).addr3 = std::uint64_t{1} << 32;
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "a mask that is too wide";
       }},
      {suite, "RefusesAddressesThatAreNoFutex", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1).addr += 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "it is not aligned";
         prepare_wait(ring, word, 0, 1).addr = 8;
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         prepare_wake(ring, word, 1, 1).addr += 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesFieldsThatMeanNothing", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_wait(ring, word, 0, 1).len = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, word, 0, 1).rw_flags = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, word, 0, 1).buf_index = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, word, 0, 1).file_index = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "CutsTheChainWhenItDoesNotWait", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 3;
         prepare_wait(ring, word, 4, 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -EAGAIN, 0}));
         EXPECT_EQ(take(ring), (Completion{2, -ECANCELED, 0}));
       }},
      {suite, "WaitsForAnyOfSeveralAndTellsWhich", waitv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t words[3] = {};
         const futex_waitv waiters[] = {waited(words[0], 0), waited(words[1], 0), waited(words[2], 0)};
         prepare_waitv(ring, waiters, 3, 1);
         submit_all(ring);
         EXPECT_TRUE(settle(ring).empty());
         prepare_wake(ring, words[2], 1, 2);
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 2).res, 1);
         EXPECT_EQ(find(completions, 1).res, 2) << "the index of the futex";
         EXPECT_EQ(wake_now(ring, words[0], 1), 0) << "it waits for none of them any more";
       }},
      {suite, "NeedsTheArrayDuringSubmissionOnly", waitv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t words[2] = {};
         futex_waitv waiters[] = {waited(words[0], 0), waited(words[1], 0)};
         prepare_waitv(ring, waiters, 2, 1);
         submit_all(ring);
         waiters[0] = waiters[1] = futex_waitv{};
         prepare_wake(ring, words[1], 1, 2);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1).res, 1);
       }},
      {suite, "WaitsForNoneWhenOneHasAnotherValue", waitv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t words[2] = {0, 7};
         const futex_waitv waiters[] = {waited(words[0], 0), waited(words[1], 0)};
         prepare_waitv(ring, waiters, 2, 1);
         EXPECT_EQ(run_one(ring).res, -EAGAIN);
         EXPECT_EQ(wake_now(ring, words[0], 1), 0);
       }},
      {suite, "StopsWaitingForSeveralWhenCancelled", waitv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t words[2] = {};
         const futex_waitv waiters[] = {waited(words[0], 0), waited(words[1], 0)};
         prepare_waitv(ring, waiters, 2, 1);
         submit_all(ring);
         io_uring_sqe& cancel = next_sqe(ring);
         io_uring_prep_cancel64(&cancel, 1, 0);
         cancel.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 1) << "how many, where other requests are told of by 0";
       }},
      {suite, "RefusesAnArrayOfNoneOrTooMany", waitv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         const std::vector<futex_waitv> waiters(129, waited(word, 1));
         prepare_waitv(ring, waiters.data(), 0, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitv(ring, waiters.data(), 129, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitv(ring, waiters.data(), 128, 1);
         EXPECT_EQ(run_one(ring).res, -EAGAIN);
       }},
      {suite, "RefusesAnArrayThatIsNotRight", waitv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::uint32_t word = 0;
         prepare_waitv(ring, reinterpret_cast<const futex_waitv*>(8), 1, 1);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         futex_waitv waiter = waited(word, 1);
         waiter.__reserved = 1;
         prepare_waitv(ring, &waiter, 1, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         waiter = waited(word, 1);
         waiter.flags = 0;
         prepare_waitv(ring, &waiter, 1, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         waiter = waited(word, std::uint64_t{1} << 32);
         prepare_waitv(ring, &waiter, 1, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         waiter = waited(word, 1);
         prepare_waitv(ring, &waiter, 1, 1).addr2 = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitv(ring, &waiter, 1, 1).fd = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitv(ring, &waiter, 1, 1).addr3 = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
