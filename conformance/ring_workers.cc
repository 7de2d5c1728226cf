// Limits and affinity of the workers that carry out what may block, and busy polling of devices: settings that are
// remembered, and refused where they make no sense.

#include <sched.h>

#include <array>
#include <cerrno>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

using Limits = std::array<unsigned, 2>;

/// Sets limits; what they were before takes their place.
int set_limits(Ring& ring, Limits& limits) {
  return ring.register_op(IORING_REGISTER_IOWQ_MAX_WORKERS, limits.data(), 2);
}

}  // namespace

std::vector<Behaviour> ring_workers_behaviours() {
  const std::string suite = "RingWorkers";
  const Needs limits{.register_ops = {IORING_REGISTER_IOWQ_MAX_WORKERS}};
  const Needs affinity{.register_ops = {IORING_REGISTER_IOWQ_AFF, IORING_UNREGISTER_IOWQ_AFF}};
  const Needs napi{.register_ops = {uapi::kRegisterNapi, uapi::kUnregisterNapi}};
  return {
      {suite, "AreLimitedFromTheStart", limits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Limits current{};
         ASSERT_EQ(set_limits(ring, current), 0);
         EXPECT_GT(current[0], 0u);
         EXPECT_GT(current[1], 0u);
       }},
      {suite, "TellTheLimitsThatTheyHad", limits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Limits before{3, 5};
         ASSERT_EQ(set_limits(ring, before), 0);
         Limits current{2, 4};
         ASSERT_EQ(set_limits(ring, current), 0);
         EXPECT_EQ(current, (Limits{3, 5}));
         current = before;
         ASSERT_EQ(set_limits(ring, current), 0);
         EXPECT_EQ(current, (Limits{2, 4}));
       }},
      {suite, "KeepALimitThatIsGivenAsZero", limits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Limits before{3, 5};
         ASSERT_EQ(set_limits(ring, before), 0);
         Limits current{0, 4};
         ASSERT_EQ(set_limits(ring, current), 0);
         current = before;
         ASSERT_EQ(set_limits(ring, current), 0);
         EXPECT_EQ(current, (Limits{3, 4}));
       }},
      {suite, "BelongToTheThreadAndNotTheRing", limits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Ring other = open_ring(kernel);
         Limits before{3, 5};
         ASSERT_EQ(set_limits(ring, before), 0);
         Limits current = before;
         ASSERT_EQ(set_limits(other, current), 0);
         EXPECT_EQ(current, (Limits{3, 5}));
       }},
      {suite, "TakeNoNegativeLimit", limits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Limits negative{0x80000000u, 0};
         EXPECT_EQ(set_limits(ring, negative), -EINVAL);
         negative = {0, ~0u};
         EXPECT_EQ(set_limits(ring, negative), -EINVAL);
       }},
      {suite, "TakeTwoLimitsAtATime", limits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Limits current{};
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_MAX_WORKERS, current.data(), 1), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_MAX_WORKERS, nullptr, 2), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_MAX_WORKERS, reinterpret_cast<void*>(1), 2), -EFAULT);
       }},
      {suite, "AreBoundToProcessorsAndLetGo", affinity,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         cpu_set_t cpus;
         CPU_ZERO(&cpus);
         ASSERT_EQ(::sched_getaffinity(0, sizeof cpus, &cpus), 0);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_AFF, &cpus, sizeof cpus), 0);
         prepare_nop(ring, 1).flags = IOSQE_ASYNC;
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_EQ(ring.register_op(IORING_UNREGISTER_IOWQ_AFF, nullptr, 0), 0);
       }},
      {suite, "AreBoundToNoProcessorsThatAreNotGiven", affinity,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         std::uint64_t cpus = 1;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_AFF, nullptr, 8), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_AFF, &cpus, 0), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_IOWQ_AFF, reinterpret_cast<void*>(1), 8), -EFAULT);
         EXPECT_EQ(ring.register_op(IORING_UNREGISTER_IOWQ_AFF, &cpus, 0), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_UNREGISTER_IOWQ_AFF, nullptr, 1), -EINVAL);
       }},
      {"RingNapi", "TellsTheSettingsThatItHad", napi,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         uapi::Napi settings{};
         settings.busy_poll_to = 50;
         settings.prefer_busy_poll = 1;
         ASSERT_EQ(ring.register_op(uapi::kRegisterNapi, &settings, 1), 0);
         EXPECT_EQ(settings.busy_poll_to, 0u);
         settings = {};
         ASSERT_EQ(ring.register_op(uapi::kUnregisterNapi, &settings, 1), 0);
         EXPECT_EQ(settings.busy_poll_to, 50u);
         EXPECT_EQ(settings.prefer_busy_poll, 1);
         EXPECT_EQ(ring.register_op(uapi::kUnregisterNapi, nullptr, 1), 0) << "nobody need ask";
       }},
      {"RingNapi", "RefusesReservedFieldsThatAreNotZero", napi,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         uapi::Napi settings{};
         settings.pad[0] = 1;
         EXPECT_EQ(ring.register_op(uapi::kRegisterNapi, &settings, 1), -EINVAL);
         settings = {};
         settings.resv = 1;
         EXPECT_EQ(ring.register_op(uapi::kRegisterNapi, &settings, 1), -EINVAL);
         EXPECT_EQ(ring.register_op(uapi::kRegisterNapi, nullptr, 1), -EINVAL);
         EXPECT_EQ(ring.register_op(uapi::kUnregisterNapi, nullptr, 0), -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
