#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "assay/conformance/backend_under_test.h"
#include "assay/conformance/kernel_case.h"
#include "assay/conformance/needs.h"
#include "assay/faultinject/fault_points.h"

namespace assay::conformance {

class BackendScenario;

/// One cell of the table that the backend suites are run over: a kernel, with or without a plan that bends it
/// (with_plan), and who is held to the suites on it.
struct BackendCase {
  KernelCase kernel;
  BackendSubject backend;
};

/// Fault points, as a set.
class FaultPoints {
 public:
  FaultPoints() = default;
  FaultPoints(std::initializer_list<FaultPointId> points) {
    for (const FaultPointId point : points) bits_ |= bit(point);
  }
  bool contains(FaultPointId point) const { return (bits_ & bit(point)) != 0; }
  friend FaultPoints operator|(FaultPoints a, FaultPoints b) {
    a.bits_ |= b.bits_;
    return a;
  }

 private:
  static std::uint64_t bit(FaultPointId point) { return std::uint64_t{1} << static_cast<unsigned>(point); }

  std::uint64_t bits_ = 0;
};

/// One promise of event loops, and the one body that holds every one to it, on every kernel, under every plan that it
/// can carry.
struct BackendBehaviour {
  std::string suite;
  std::string name;
  /// What a loop must claim to be held to it.
  CapabilitySet capabilities;
  std::function<void(BackendScenario&)> body;
  /// What the kernel must offer.
  Needs needs = {};
  /// Points that the body cannot stand, beside those that none can (see `carried_by_default`).
  FaultPoints cannot_carry = {};
  /// The plan that the behaviour is about, instead of the case's; each of its rules must fire. Such a behaviour is run
  /// in cases without a plan only, and only on kernels that can carry its own truthfully.
  std::string own_plan = {};
  /// A plan that the body injects a part of by itself. Where this kernel cannot truthfully carry it out, the behaviour
  /// is skipped, and the refusal is the reason.
  std::string injects = {};
  /// Where it is written down.
  const char* file = __builtin_FILE();
  int line = __builtin_LINE();
};

/// The points that a behaviour stands unless it says otherwise: what a kernel may do to any program, and what a loop
/// must keep from its users.
FaultPoints carried_by_default();

/// All behaviours, in the order of the tables.
const std::vector<BackendBehaviour>& backend_behaviours();

/// The plans that every backend is held to, on each kernel that can carry them; the first is the empty one.
const std::vector<std::string>& standard_backend_plans();

/// The cases of one backend on these kernels. A kernel that brings a plan is one case; any other is a case for each of
/// the standard plans that it can carry truthfully.
std::vector<BackendCase> standard_backend_cases(const BackendSubject& backend, std::span<const KernelCase> kernels);

/// How the suites are registered.
struct BackendSuiteOptions {
  /// Hold the backend to what it does not claim, too.
  bool ignore_claims = false;
  /// With the behaviours that bring a plan of their own. Such a plan counts calls, and not every way to submit makes
  /// them.
  bool own_plans = true;
};

/// The backends' half of conformance: registers every behaviour in every case that can carry it, by
/// testing::RegisterTest. One that needs an unclaimed capability is skipped as "not claimed: X". The tests are named
/// SUITE.BEHAVIOUR/BACKEND_KERNEL_PLAN.
void register_backend_suites(std::span<const BackendCase> cases, const BackendSuiteOptions& options = {});

/// Assay's own backend in its standard cases.
void register_assay_backend_suites(std::span<const KernelCase> kernels);

}  // namespace assay::conformance
