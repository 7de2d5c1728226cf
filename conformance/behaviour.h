#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/conformance/kernel_case.h"
#include "assay/conformance/needs.h"

namespace assay::conformance {

/// What the body of a behaviour gets: a kernel of its own, opened for this test and given back after it.
class KernelUnderTest {
 public:
  KernelUnderTest(const KernelCase& kernel_case, OpenedKernel opened)
      : case_(&kernel_case), opened_(std::move(opened)) {}

  Kernel& kernel() const noexcept { return *opened_.kernel; }
  /// The kernel's layers, which tell what a plan did; null for a kernel that somebody else supplied.
  KernelStack* stack() const noexcept { return opened_.stack; }
  /// What the kernel says of itself; bodies branch on it where kernels differ.
  const Profile& profile() const noexcept { return case_->profile; }
  bool simulated() const noexcept { return case_->simulated; }
  const KernelCase& kernel_case() const noexcept { return *case_; }

 private:
  const KernelCase* case_;
  OpenedKernel opened_;
};

/// Thrown by a body's own tools to end it, when a failure was reported already.
struct BodyEnded {};

/// One promise, and the one body that holds every kernel to it. Names are sentences without underscores: suite
/// "RingOverflow", name "KeepsEveryCqeWhenNodropIsSet".
struct Behaviour {
  std::string suite;
  std::string name;
  Needs needs;
  /// Uses GoogleTest's EXPECT_ and ASSERT_ freely. It must not skip: skips are decided from `needs` and checked.
  std::function<void(KernelUnderTest&)> body;
  /// Where it is written down.
  const char* file = __builtin_FILE();
  int line = __builtin_LINE();
  /// Not empty where whoever registers it knows that this subject makes no such promise; the test is skipped so.
  std::string skip_reason = {};
};

/// A test as the runner and its reports know it.
struct RegisteredTest {
  std::string suite;
  /// The behaviour's name and, after a slash, the case's: "KeepsEveryCqeWhenNodropIsSet/sim_linux_6.12.0".
  std::string name;
  /// The column of the table in which it is counted.
  std::string kernel;
  /// What tells it apart from other tests of the same behaviour on the same kernel: "assay enter/ebusy:every=3", or
  /// nothing. The same on every kernel.
  std::string variant;
};

/// How a case is spelled in a test's name. GoogleTest's filters give ':' and '-' a meaning of their own, so each
/// character of a kernel's name that a filter, CTest or a shell would take amiss becomes '_'.
std::string test_name_part(std::string_view case_name);

/// Registers `behaviour` on one kernel with GoogleTest, by testing::RegisterTest: nothing is lost to a linker that
/// drops what nobody refers to. `case_name` is what the test's name ends with; empty, it is the kernel's name.
///
/// The test opens the kernel, runs the body, closes the kernel, and fails when descriptors or shared mappings are left
/// over. Where the kernel's profile lacks what the behaviour needs, it is skipped with that reason, once the kernel
/// itself was asked and agreed; any other skip is a failure.
void register_test(const Behaviour& behaviour, const KernelCase& kernel_case, std::string_view case_name = {});

/// Each of `behaviours` on each of `kernels`, behaviour by behaviour.
void register_behaviours(std::span<const Behaviour> behaviours, std::span<const KernelCase> kernels);

/// Everything that was registered in this process, in order.
const std::vector<RegisteredTest>& registered_tests();

/// The kernels' half of conformance: does this kernel, real or simulated, do what io_uring promises?
void register_ring_suites(std::span<const KernelCase> kernels);

/// What only a machine of one's own can show: memory that runs out, io_uring forbidden by sysctl or seccomp. Registered
/// on the running kernel alone. They must run as root, and leave the machine as they found it unless they are killed.
void register_machine_suites(std::span<const KernelCase> kernels);

}  // namespace assay::conformance
