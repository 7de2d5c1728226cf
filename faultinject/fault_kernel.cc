#include "assay/faultinject/fault_kernel.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/faultinject/hidden_features.h"
#include "assay/faultinject/live_control.h"
#include "assay/faultinject/sqe_rewrite.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

// What an enter that does not wait leaves out: the wait, and what its argument would have meant.
constexpr unsigned kWaitFlags =
    IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | uapi::kEnterAbsTimer | uapi::kEnterExtArgReg | uapi::kEnterNoIowait;

bool links(const io_uring_sqe& sqe) { return (sqe.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) != 0; }

}  // namespace

// ---- FaultScope

FaultScope::FaultScope(std::shared_ptr<FaultSchedule> schedule, std::uint64_t added)
    : schedule_(std::move(schedule)), added_(added) {}

FaultScope::FaultScope(FaultScope&& other) noexcept
    : schedule_(std::move(other.schedule_)), added_(std::exchange(other.added_, 0)) {}

FaultScope& FaultScope::operator=(FaultScope&& other) noexcept {
  if (this != &other) {
    end();
    schedule_ = std::move(other.schedule_);
    added_ = std::exchange(other.added_, 0);
  }
  return *this;
}

FaultScope::~FaultScope() { end(); }

void FaultScope::end() {
  if (schedule_ != nullptr) schedule_->remove(added_);
  schedule_.reset();
}

// ---- SQEs on their way

// Changes the SQEs of one submission in place, and when the call is over puts back those that were not consumed: what a
// program wrote and the kernel did not take is the program's.
class FaultKernel::Rewriting {
 public:
  Rewriting(FaultKernel& kernel, FaultRing& ring, unsigned offered) : ring_(ring), head_(ring.sq_head()) {
    const std::lock_guard lock(ring.mutex);
    bool linked_before = false;
    originals_.resize(offered);
    iovecs_.resize(offered);
    for (unsigned i = 0; i < offered; ++i) {
      io_uring_sqe* sqe = ring.sqe_at(head_ + i);
      if (sqe == nullptr) continue;
      originals_[i] = *sqe;
      const auto known = ring.decided.find(head_ + i);
      SqeFault& fault = known != ring.decided.end()
                            ? known->second
                            : ring.decided.emplace(head_ + i, kernel.decide(ring, *sqe, linked_before)).first->second;
      change(*sqe, fault, iovecs_[i]);
      linked_before = links(*originals_[i]);
    }
  }
  Rewriting(const Rewriting&) = delete;
  Rewriting& operator=(const Rewriting&) = delete;

  void consumed(unsigned count) {
    const std::lock_guard lock(ring_.mutex);
    for (unsigned i = 0; i < originals_.size(); ++i) {
      if (i < count) {
        ring_.decided.erase(head_ + i);
      } else if (originals_[i].has_value()) {
        if (io_uring_sqe* sqe = ring_.sqe_at(head_ + i)) *sqe = *originals_[i];
      }
    }
  }

 private:
  static void change(io_uring_sqe& sqe, const SqeFault& fault, std::vector<iovec>& iovecs) {
    switch (fault.kind) {
      case SqeFault::Kind::kNone:
        break;
      case SqeFault::Kind::kUnknown:
        make_unknown(sqe);
        break;
      case SqeFault::Kind::kError:
        fail_with(sqe, static_cast<int>(fault.amount));
        break;
      case SqeFault::Kind::kShort:
        shorten(sqe, fault.amount, iovecs);
        break;
    }
  }

  FaultRing& ring_;
  const std::uint32_t head_;
  std::vector<std::optional<io_uring_sqe>> originals_;
  std::vector<std::vector<iovec>> iovecs_;
};

// ---- Creation

bool FaultKernelOptions::libfiu_is_on() { return live_control_is_on(); }

FaultKernel::FaultKernel(Kernel& base, std::shared_ptr<FaultSchedule> schedule)
    : base_(base), schedule_(std::move(schedule)) {}

Result<std::unique_ptr<FaultKernel>> FaultKernel::create(Kernel& base, const FaultPlan& plan,
                                                         const FaultKernelOptions& options) {
  return create(base, std::make_shared<FaultSchedule>(plan, options.ask_libfiu));
}

Result<std::unique_ptr<FaultKernel>> FaultKernel::create(Kernel& base, std::shared_ptr<FaultSchedule> schedule) {
  const FaultPlan plan{.rules = schedule->rules()};
  auto kernel = std::unique_ptr<FaultKernel>(new FaultKernel(base, std::move(schedule)));
  if (Result<void> checked = kernel->check(plan); !checked) return checked.error();
  if (kernel->schedule_->asks_libfiu() && !kernel->schedule_->reaches_completions()) kernel->injects_results();
  return kernel;
}

Result<FaultScope> FaultKernel::apply(const FaultPlan& plan) {
  if (Result<void> checked = check(plan); !checked) return checked.error();
  return FaultScope(schedule_, schedule_->add(plan));
}

Result<FaultScope> FaultKernel::apply(std::string_view plan_text) {
  Result<FaultPlan> plan = parse_fault_plan(plan_text);
  if (!plan) return plan.error();
  return apply(*plan);
}

// Whether this kernel can carry each rule without lying.
Result<void> FaultKernel::check(const FaultPlan& plan) {
  const auto* sim = dynamic_cast<const SimKernel*>(&base_);
  const auto refused = [&](const FaultRule& rule, const std::string& reason) {
    return Error::invalid("fault plan: " + base_.name() + " cannot carry '" + format_fault_rule(rule) + "': " + reason);
  };
  for (const FaultRule& rule : plan.rules) {
    if (Result<void> checked = check_fault_rule(rule); !checked) return checked.error();
    const FaultPoint& point = fault_point(rule.point);
    if (point.reach == FaultReach::kSimulation && !schedule_->reaches_completions()) {
      return refused(rule, sim != nullptr ? "its Chooser is not this plan's (open_kernel_stack makes it so)"
                                          : "only a simulated kernel can be asked for it (--kernel sim:PROFILE)");
    }
    if (rule.point == FaultPointId::kSetupFeatureAbsent) {
      if (Result<void> hideable = check_hideable(rule.bit); !hideable) return hideable.error();
    }
    const bool gives_result = rule.point == FaultPointId::kCqeErrno || rule.point == FaultPointId::kCqeEintr ||
                              rule.point == FaultPointId::kCqeEagain;
    if (gives_result && !schedule_->reaches_completions() && !injects_results()) {
      return refused(rule, "its NOP cannot carry a result (IORING_NOP_INJECT_RESULT, since Linux 6.10)");
    }
    if (rule.point == FaultPointId::kEnterEbadr && sim != nullptr && !sim->profile().semantics.ebadr_after_drop) {
      return refused(rule, "this kernel never says -EBADR (switch ebadr_after_drop, since Linux 5.19)");
    }
  }
  return {};
}

// Whether the base's NOP ends with a result of our choice: tried once, on a ring of its own.
bool FaultKernel::injects_results() {
  std::call_once(injection_tried_, [this] {
    Result<Ring> ring = Ring::create(base_, {.sq_entries = 1});
    if (!ring) return;
    io_uring_sqe* sqe = ring->get_sqe();
    *sqe = {};
    sqe->opcode = IORING_OP_NOP;
    fail_with(*sqe, EIO);
    if (ring->submit_and_wait(1) != 1) return;
    const io_uring_cqe* cqe = ring->peek_cqe();
    injects_results_ = cqe != nullptr && cqe->res == -EIO;
  });
  return injects_results_;
}

// ---- Calls

int FaultKernel::setup(unsigned entries, io_uring_params* params) {
  for (const auto& [point, error] : {std::pair{FaultPointId::kSetupEnosys, ENOSYS},
                                     {FaultPointId::kSetupEperm, EPERM},
                                     {FaultPointId::kSetupEnomem, ENOMEM}}) {
    if (schedule_->cross({.point = point})) return -error;
  }
  if (const auto firing = schedule_->cross({.point = FaultPointId::kSetupErrno})) return -firing->error;

  const int ring_fd = base_.setup(entries, params);
  if (ring_fd < 0) return ring_fd;
  const std::shared_ptr<FaultRing> ring = rings_.was_set_up(ring_fd, *params);
  for (const FaultRule& rule : schedule_->rules()) {
    if (rule.point != FaultPointId::kSetupFeatureAbsent || (params->features & rule.bit) == 0) continue;
    schedule_->cross({.point = rule.point, .op = rule.bit});
    params->features &= ~rule.bit;
    ring->hidden |= rule.bit;
  }
  if (ring->sqpoll()) schedule_->count_sqpoll_ring();
  return ring_fd;
}

int FaultKernel::map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) {
  if (schedule_->cross({.point = FaultPointId::kMapEnomem})) return -ENOMEM;
  const int result = base_.map(ring_fd, offset, bytes, address);
  if (result == 0) rings_.was_mapped(ring_fd, offset, *address);
  return result;
}

int FaultKernel::unmap(void* address, std::size_t bytes) {
  // Forgotten first: once the memory is given back, another thread may be given the same address.
  rings_.was_unmapped(address);
  return base_.unmap(address, bytes);
}

int FaultKernel::close(int ring_fd) {
  rings_.was_closed(ring_fd);
  return base_.close(ring_fd);
}

int FaultKernel::register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) {
  const bool by_index = (opcode & uapi::kRegisterUseRegisteredRing) != 0;
  const unsigned op = opcode & ~uapi::kRegisterUseRegisteredRing;
  const std::shared_ptr<FaultRing> ring = rings_.find(ring_fd, by_index);
  if (ring != nullptr && hidden_refuses_register(ring->hidden, opcode)) return -EINVAL;
  if (const auto firing = schedule_->cross({.point = FaultPointId::kRegisterErrno, .op = op})) return -firing->error;

  const int result = base_.register_op(ring_fd, opcode, arg, nr_args);
  rings_.was_registered(ring_fd, opcode, arg, nr_args, result);
  if (op == IORING_REGISTER_PROBE && result >= 0) {
    auto* probe = static_cast<io_uring_probe*>(arg);
    for (const FaultRule& rule : schedule_->rules()) {
      if (rule.point != FaultPointId::kRegisterOpcodeAbsent ||
          *rule.op >= std::min<unsigned>(nr_args, probe->ops_len)) {
        continue;
      }
      schedule_->cross({.point = rule.point, .op = *rule.op});
      probe->ops[*rule.op].flags &= static_cast<std::uint16_t>(~IO_URING_OP_SUPPORTED);
    }
  }
  return result;
}

unsigned FaultKernel::offered(const FaultRing* ring, unsigned to_submit) const {
  if (ring == nullptr || !ring->sq_visible()) return to_submit;
  return std::min(to_submit, ring->sq_tail() - ring->sq_head());
}

int FaultKernel::enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                       std::size_t arg_bytes) {
  const std::shared_ptr<FaultRing> ring = rings_.find(ring_fd, (flags & IORING_ENTER_REGISTERED_RING) != 0);
  if (ring != nullptr && hidden_refuses_enter(ring->hidden, flags, arg, arg_bytes)) return -EINVAL;

  // Under SQPOLL the number is only given back: the poll thread submits, and no fault here can keep it from doing so.
  const bool sqpoll = ring != nullptr && ring->sqpoll();
  const unsigned count = sqpoll ? 0 : offered(ring.get(), to_submit);
  const bool submits = count > 0;
  const bool gets_events = (flags & IORING_ENTER_GETEVENTS) != 0;
  const bool waits = gets_events && min_complete > 0;
  // An error of the wait is told only where nothing was submitted.
  const bool tells_wait = waits && to_submit == 0;
  const auto fires = [this](FaultPointId point, bool crossed, std::uint64_t limit = 0) -> std::optional<FaultFiring> {
    if (!crossed) return std::nullopt;
    return schedule_->cross({.point = point, .limit = limit});
  };

  if (const auto firing = fires(FaultPointId::kEnterErrno, true)) return -firing->error;
  if (fires(FaultPointId::kEnterEagain, submits)) return -EAGAIN;
  if (fires(FaultPointId::kEnterEbusy, submits || (gets_events && !sqpoll))) return -EBUSY;
  if (fires(FaultPointId::kEnterEintr, submits || tells_wait)) {
    if (submits) return -EINTR;
    // The wait began before the signal came: what could complete has completed.
    const int result = base_.enter(ring_fd, 0, 0, flags, arg, arg_bytes);
    return result < 0 ? result : -EINTR;
  }
  if (const auto firing = fires(FaultPointId::kEnterTake, count >= 2, count)) {
    // A batch that ends early is not waited for.
    return submit(ring.get(), ring_fd, static_cast<unsigned>(firing->amount), 0, flags & ~kWaitFlags, nullptr, 0);
  }
  if (fires(FaultPointId::kEnterEintrMasked, submits && waits)) {
    return submit(ring.get(), ring_fd, to_submit, 0, flags, arg, arg_bytes);
  }
  if (fires(FaultPointId::kEnterEarly, waits && min_complete > 1 && to_submit == 0)) {
    return base_.enter(ring_fd, 0, 1, flags, arg, arg_bytes);
  }
  if (fires(FaultPointId::kEnterEbadr, waits && ring != nullptr)) ring->owes_ebadr = true;
  if (waits && ring != nullptr && ring->owes_ebadr) {
    // No wait sleeps before one has told of the drop; where something was submitted its number hides that.
    const int result = submit(ring.get(), ring_fd, to_submit, 0, flags, arg, arg_bytes);
    if (result != 0 || to_submit > 0) return result;
    if (ring->cq_visible() && ring->cq_ready() >= min_complete) return 0;
    return ring->owes_ebadr.exchange(false) ? -EBADR : 0;
  }
  return submit(ring.get(), ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
}

// Enters the base, with SQEs rewritten where a fault wants it.
int FaultKernel::submit(FaultRing* ring, int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                        const void* arg, std::size_t arg_bytes) {
  const unsigned count = ring != nullptr && rewrites_sqes(*ring) ? offered(ring, to_submit) : 0;
  if (count == 0) return base_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  Rewriting rewriting(*this, *ring, count);
  const int result = base_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  rewriting.consumed(result > 0 ? static_cast<unsigned>(result) : 0);
  return result;
}

bool FaultKernel::rewrites_sqes(const FaultRing& ring) const {
  if (ring.sqpoll() || !ring.sq_visible()) return false;
  if (ring.hidden != 0 || schedule_->has_rule(FaultPointId::kRegisterOpcodeAbsent)) return true;
  if (schedule_->reaches_completions()) return false;
  return schedule_->asks_libfiu() || schedule_->has_rule(FaultPointId::kCqeShort) ||
         schedule_->has_rule(FaultPointId::kCqeErrno) || schedule_->has_rule(FaultPointId::kCqeEintr) ||
         schedule_->has_rule(FaultPointId::kCqeEagain);
}

SqeFault FaultKernel::decide(const FaultRing& ring, const io_uring_sqe& sqe, bool linked_before) {
  if (hidden_refuses_sqe(ring.hidden, sqe)) return {.kind = SqeFault::Kind::kUnknown};
  if (schedule_->cross({.point = FaultPointId::kRegisterOpcodeAbsent, .op = sqe.opcode})) {
    return {.kind = SqeFault::Kind::kUnknown};
  }
  if (schedule_->reaches_completions()) return {};

  if (can_fail(sqe) && injects_results_) {
    // Each is a crossing of all three.
    const auto firing = schedule_->cross({.point = FaultPointId::kCqeErrno, .sqe = &sqe});
    const bool interrupted = schedule_->cross({.point = FaultPointId::kCqeEintr, .sqe = &sqe}).has_value();
    const bool refused = schedule_->cross({.point = FaultPointId::kCqeEagain, .sqe = &sqe}).has_value();
    if (firing.has_value()) {
      return {.kind = SqeFault::Kind::kError, .amount = static_cast<std::uint64_t>(firing->error)};
    }
    if (interrupted) return {.kind = SqeFault::Kind::kError, .amount = EINTR};
    if (refused) return {.kind = SqeFault::Kind::kError, .amount = EAGAIN};
  }
  // Before 5.5 a vector must stay where it is until the request ends, which is longer than a rewritten one lives.
  const bool vector_may_go = (ring.features() & IORING_FEAT_SUBMIT_STABLE) != 0;
  const std::uint64_t limit = is_vectored(sqe) && !vector_may_go ? 0 : shortenable_bytes(sqe, linked_before);
  if (limit < 2) return {};
  if (const auto firing = schedule_->cross({.point = FaultPointId::kCqeShort, .sqe = &sqe, .limit = limit})) {
    return {.kind = SqeFault::Kind::kShort, .amount = firing->amount};
  }
  return {};
}

}  // namespace assay
