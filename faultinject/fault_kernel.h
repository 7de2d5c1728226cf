#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/fault_schedule.h"
#include "assay/faultinject/ring_view.h"

namespace assay {

class FaultKernel;

/// What becomes of one SQE on its way into the kernel.
struct SqeFault {
  enum class Kind { kNone, kUnknown, kError, kShort };
  Kind kind = Kind::kNone;
  /// Positive errno, or bytes.
  std::uint64_t amount = 0;
};

/// Puts a plan in force for a scope. What its rules did stays in the kernel's report.
class [[nodiscard]] FaultScope {
 public:
  FaultScope(FaultScope&& other) noexcept;
  FaultScope& operator=(FaultScope&& other) noexcept;
  ~FaultScope();

  /// Ends the scope early.
  void end();

 private:
  friend class FaultKernel;
  FaultScope(std::shared_ptr<FaultSchedule> schedule, std::uint64_t added);

  std::shared_ptr<FaultSchedule> schedule_;
  std::uint64_t added_ = 0;
};

/// How a FaultKernel is made.
struct FaultKernelOptions {
  /// Put each crossing to libfiu too, under the point's name: the live control, for `fiu-ctrl`. Defaults to whether
  /// ASSAY_FIU=1 is in the environment, which is read once.
  bool ask_libfiu = libfiu_is_on();

  static bool libfiu_is_on();
};

/// Any Kernel, with calls bent as a plan says: setup, map, register and enter.
///
/// A fault never makes a kernel lie. -EINTR comes with nothing submitted; where something was submitted, its number is
/// returned early and the interruption is masked. Where k of n SQEs are taken, the rest stays in the SQ as the program
/// wrote it, and nothing is waited for. SQEs are rewritten only on their way into the kernel, and those that were not
/// consumed are put back. No CQE is ever edited.
///
/// Faults of completions (cqe/...) act on a SimKernel through its Chooser (PlanChooser on the same schedule;
/// open_kernel_stack arranges that). On any other kernel they act by rewriting SQEs, where that is truthful: a shorter
/// length for a short result, a NOP that carries the errno (since Linux 6.10), never on a ring with
/// IORING_SETUP_SQPOLL, whose SQ is read before this class could. What cannot be done is refused by name when the plan
/// is put in force.
///
/// Safe for threads as far as the Kernel below is; on one ring, one thread at a time may submit.
class FaultKernel final : public Kernel {
 public:
  /// The Kernel must outlive the result. EINVAL with one line that names the rule that this kernel cannot carry.
  static Result<std::unique_ptr<FaultKernel>> create(Kernel& base, const FaultPlan& plan = {},
                                                     const FaultKernelOptions& options = {});
  /// The same on a schedule that is shared, with the PlanChooser of a SimKernel below.
  static Result<std::unique_ptr<FaultKernel>> create(Kernel& base, std::shared_ptr<FaultSchedule> schedule);

  /// Puts another plan in force while the scope lives. Its crossings are counted from now.
  Result<FaultScope> apply(const FaultPlan& plan);
  /// The same for a plan's text.
  Result<FaultScope> apply(std::string_view plan_text);

  /// What fired so far.
  FaultReport report() const { return schedule_->report(); }

  int setup(unsigned entries, io_uring_params* params) override;
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override;
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override;
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override;
  int unmap(void* address, std::size_t bytes) override;
  int close(int ring_fd) override;
  int now(clockid_t clock, timespec* time) override { return base_.now(clock, time); }
  int wait_readable(int ring_fd, const timespec* timeout) override { return base_.wait_readable(ring_fd, timeout); }
  void relax(int ring_fd) override { base_.relax(ring_fd); }
  /// The base's: a plan is reported beside the kernel, not as part of it.
  std::string name() const override { return base_.name(); }

 private:
  // A ring, and what its faults have to remember from call to call.
  struct FaultRing : RingView {
    using RingView::RingView;

    /// IORING_FEAT_* that setup did not announce.
    std::uint32_t hidden = 0;
    /// A completion counts as dropped, and no wait has said so yet.
    std::atomic<bool> owes_ebadr = false;
    /// What was decided for SQEs that were offered and not yet taken, by position. An SQE crosses its points once,
    /// however often it is offered.
    std::mutex mutex;
    std::map<std::uint32_t, SqeFault> decided;
  };

  // A submission on its way into the base: SQEs as they must be for the kernel, and as the program wrote them.
  class Rewriting;

  FaultKernel(Kernel& base, std::shared_ptr<FaultSchedule> schedule);

  Result<void> check(const FaultPlan& plan);
  bool injects_results();
  unsigned offered(const FaultRing* ring, unsigned to_submit) const;
  SqeFault decide(const FaultRing& ring, const io_uring_sqe& sqe, bool linked_before);
  bool rewrites_sqes(const FaultRing& ring) const;
  int submit(FaultRing* ring, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
             std::size_t arg_bytes);

  Kernel& base_;
  std::shared_ptr<FaultSchedule> schedule_;
  RingViews<FaultRing> rings_;
  std::once_flag injection_tried_;
  bool injects_results_ = false;
};

}  // namespace assay
