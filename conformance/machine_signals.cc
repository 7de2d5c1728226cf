// Signals without end, from the real source. EINTR falls wherever the kernel lets it: between submission and wait, in
// the wait, in the wait for one more.

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "assay/backend/backend.h"
#include "assay/conformance/machine_suites.h"
#include "assay/conformance/real_signals.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kPeriod = 2ms;
/// A storm has been weathered when this many calls were interrupted.
constexpr int kInterruptions = 20;
constexpr int kMostRounds = 2000;

}  // namespace

std::vector<Behaviour> machine_signals_behaviours() {
  const std::string suite = "MachineSignals";
  return {
      {suite,
       "CompletesEachRequestOnceWhateverIsInterrupted",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         CountedSignal signal;
         const SignalTimer storm(kPeriod);
         int interrupted = 0;
         std::uint64_t next = 0;
         for (int round = 0; interrupted < kInterruptions && round < kMostRounds; ++round) {
           // A timeout longer than the time between two signals, so that waits are there to be interrupted.
           __kernel_timespec delay{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(2 * kPeriod).count()};
           io_uring_prep_timeout(&next_sqe(ring, 0), &delay, 0, 0);
           const std::uint64_t first = next + 1;
           for (int i = 0; i < 3; ++i) prepare_nop(ring, ++next);
           int status = ring.submit_and_wait(4);
           while (ring.sq_ready() > 0 || ring.cq_ready() < 4) {
             if (status == -EINTR) ++interrupted;
             ASSERT_TRUE(status >= 0 || status == -EINTR) << status;
             // Fewer than were asked for is how an interruption looks after a submission: the count comes first.
             if (status >= 0 && ring.cq_ready() < 4) ++interrupted;
             status = ring.submit_and_wait(4);
           }
           const std::vector<Completion> completions = take_ready(ring);
           ASSERT_EQ(completions.size(), 4u);
           for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(completions[i], (Completion{first + i, 0, 0}));
           EXPECT_EQ(completions[3], (Completion{0, -ETIME, 0}));
         }
         EXPECT_GE(interrupted, kInterruptions) << "the storm did not hit";
         EXPECT_GE(CountedSignal::times_handled(), interrupted);
       }},
      {suite,
       "InterruptNoCallbackOfTheBackend",
       {},
       [](KernelUnderTest& kernel) {
         auto backend = Backend::create(kernel.kernel());
         ASSERT_TRUE(backend) << backend.error().message();
         CountedSignal signal;
         const SignalTimer storm(kPeriod);
         const Fd file = make_file("0123456789");
         std::array<std::byte, 10> buffer{};
         int reads = 0;
         int fired = 0;
         int rounds = 0;
         Timer timer(**backend, [&] { ++fired; });
         while ((*backend)->counters().interruptions < kInterruptions && rounds < kMostRounds) {
           ++rounds;
           EXPECT_TRUE(timer.start_after(2 * kPeriod));
           (*backend)->read(file.get(), buffer, 0, [&](int result) {
             EXPECT_EQ(result, 10);
             ++reads;
           });
           const auto status = (*backend)->loop(LoopMode::kUntilDone);
           ASSERT_TRUE(status) << status.error().message();
         }
         EXPECT_GE((*backend)->counters().interruptions, static_cast<std::uint64_t>(kInterruptions))
             << "the storm did not hit";
         EXPECT_EQ(reads, rounds);
         EXPECT_EQ(fired, rounds);
       }},
  };
}

}  // namespace assay::conformance
