#pragma once

#include <chrono>
#include <csignal>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "assay/conformance/backend_under_test.h"
#include "assay/faultinject/fault_kernel.h"
#include "assay/mocks/profile.h"

namespace assay::conformance {

/// The value, or the end of the test with the error's words.
template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// The number of a descriptor that is not open, and that nothing opened meanwhile is given.
int closed_fd();

/// An operation whose completion is owed: it must come exactly once before the scenario is over.
struct Owed {
  std::string what;
  unsigned calls = 0;
  int res = 0;

  bool done() const { return calls > 0; }
  /// What to hand to the backend. `then` runs after the call was counted.
  OperationCallback callback(std::function<void(int res)> then = {});
};

/// What an event was told, call by call.
struct Told {
  std::vector<unsigned> bits;

  std::size_t calls() const { return bits.size(); }
  /// All bits that were ever told.
  unsigned all() const;
  /// What to hand to the backend. `then` runs after the call was recorded.
  EventCallback callback(std::function<void(unsigned bits)> then = {});
};

/// An own plan that never fires, for behaviours that inject their faults themselves.
inline constexpr const char* kFaultLayer = "enter/errno:errno=EIO:nth=1000000000";

/// What the body of a backend behaviour works with: a kernel, the backend on it, and oracles. Failures are
/// GoogleTest's.
///
/// At the end the backend is destroyed, and every completion that was owed must have come, once.
class BackendScenario {
 public:
  BackendScenario(Kernel& kernel, const Profile& profile, bool simulated, bool virtual_clock, FaultKernel* faults,
                  const BackendSubject& subject, std::chrono::nanoseconds moment)
      : kernel_(&kernel),
        profile_(&profile),
        simulated_(simulated),
        virtual_clock_(virtual_clock),
        faults_(faults),
        subject_(&subject),
        moment_(moment) {}
  BackendScenario(const BackendScenario&) = delete;
  BackendScenario& operator=(const BackendScenario&) = delete;
  ~BackendScenario();

  Kernel& kernel() const { return *kernel_; }
  const Profile& profile() const { return *profile_; }
  bool simulated() const { return simulated_; }
  /// Time moves only while the loop waits, and to the nanosecond.
  bool virtual_clock() const { return virtual_clock_; }
  /// Puts a plan in force while the scope lives; for behaviours with a plan of their own (kFaultLayer at least). Each
  /// of its rules must have fired by the end of the scenario.
  FaultScope inject(const std::string& plan);
  /// The layer that bends calls, for those that plan more than one scope can say.
  FaultKernel& faults() const;
  const BackendSubject& subject() const { return *subject_; }

  /// The backend, made at the first use with the settings of that use. Throws (so the test ends there) if it cannot be.
  BackendUnderTest& backend(const BackendSettings& settings = {});
  /// Another one on the same kernel.
  std::unique_ptr<BackendUnderTest> another_backend(const BackendSettings& settings = {});
  /// Makes one and leaves the outcome to the body.
  Result<std::unique_ptr<BackendUnderTest>> try_backend(const BackendSettings& settings = {});
  void destroy_backend();

  Owed& owe(std::string what);
  Told& tell() { return told_.emplace_back(); }

  /// Made and added, in one; what fails is a failure of the test.
  EventId fd_event(int fd, unsigned bits, EventCallback callback,
                   std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
  EventId timer(std::chrono::nanoseconds timeout, EventCallback callback);
  EventId signal(int signal, EventCallback callback);

  /// Runs, and fails the test where the loop reports an error.
  RunResult run(RunMode mode);
  /// Runs turn by turn until `done`, which must come about before the loop is idle or has turned absurdly often.
  void run_until(const std::function<bool()>& done);
  void run_until(const Owed& owed) {
    run_until([&owed] { return owed.done(); });
  }
  void run_until(const Told& told, std::size_t calls) {
    run_until([&told, calls] { return told.calls() >= calls; });
  }
  /// Turns without waiting, often enough for whatever has happened already to be told, faults included.
  void settle();

  /// The kernel's monotonic clock.
  std::chrono::nanoseconds now() const;
  /// A short while for timeouts: long enough to tell apart, short enough for a real clock.
  std::chrono::nanoseconds moment() const;

 private:
  Kernel* kernel_;
  const Profile* profile_;
  bool simulated_;
  bool virtual_clock_;
  FaultKernel* faults_;
  const BackendSubject* subject_;
  std::chrono::nanoseconds moment_;
  // Where in the report the first rule of each injected plan stands.
  std::vector<std::size_t> injected_;
  // Both outlive the backend, whose destructor still calls back.
  std::deque<Owed> owed_;
  std::deque<Told> told_;
  std::unique_ptr<BackendUnderTest> backend_;
};

}  // namespace assay::conformance
