// Completions that only a call brings out: from the overflow backlog, and from deferred task work.

#include <cerrno>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

// Never waits: submits, and looks at the CQ until something is there.
class PeekingLoop : public DefectiveLoop {
 public:
  using DefectiveLoop::DefectiveLoop;

 protected:
  virtual unsigned events_wanted() { return ring().cq_needs_enter() ? IORING_ENTER_GETEVENTS : 0; }
  virtual bool enters_without_sqes() const { return false; }

 private:
  int enter() override {
    const unsigned to_submit = ring().flush_sq();
    const unsigned flags = events_wanted();
    if (to_submit == 0 && flags == 0 && !enters_without_sqes()) {
      ring().kernel().relax(ring().fd());
      return 0;
    }
    constexpr std::size_t kSigsetBytes = 8;
    return ring().kernel().enter(ring().fd(), to_submit, 0, flags, nullptr, kSigsetBytes);
  }
};

class OverflowNotSeen final : public PeekingLoop {
  using PeekingLoop::PeekingLoop;
  unsigned events_wanted() override { return defect_ ? 0 : PeekingLoop::events_wanted(); }
};

// Enters every time, but asks for completions only when it waits for some, which it never does.
class NoEventsUnlessWaiting final : public PeekingLoop {
  using PeekingLoop::PeekingLoop;
  unsigned events_wanted() override { return defect_ ? 0 : IORING_ENTER_GETEVENTS; }
  bool enters_without_sqes() const override { return true; }
};

// The same where completions are task work that the program has to ask for.
class DeferredNotAskedFor final : public PeekingLoop {
 public:
  DeferredNotAskedFor(Kernel& kernel, bool defect)
      : PeekingLoop(
            kernel, defect,
            {.sq_entries = kSqEntries, .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN}) {}

 private:
  unsigned events_wanted() override { return defect_ ? PeekingLoop::events_wanted() : IORING_ENTER_GETEVENTS; }
  bool enters_without_sqes() const override { return true; }
};

// Gives the CQ's entries back all at once, has the kernel go on, and then looks at what they were.
class UseAfterSeen final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  struct Copy {
    std::uint64_t user_data;
    std::int32_t res;
    std::uint32_t flags;
  };

  void reap() override {
    io_uring_cqe* cqes[2 * kSqEntries];
    const unsigned count = ring().peek_cqes(cqes);
    std::vector<Copy> copies;
    for (unsigned i = 0; i < count; ++i) copies.push_back({cqes[i]->user_data, cqes[i]->res, cqes[i]->flags});
    ring().cq_advance(count);
    fill_sq();
    ring().submit();
    for (unsigned i = 0; i < count; ++i) {
      const io_uring_cqe copy{.user_data = copies[i].user_data, .res = copies[i].res, .flags = copies[i].flags};
      tell(defect_ ? *cqes[i] : copy);
    }
  }
};

// Takes every completion to be one of its own requests.
class ForeignCompletion final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  void unasked(const io_uring_cqe&) override {
    if (defect_) fail(-EIO);  // "bad cqe data"
  }
};

}  // namespace

void internal::add_cq_overflow_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(reading_loop<OverflowNotSeen>(
      "overflow-not-flushed", {"B24", "B25", "B28"},
      "A loop that only looks at the CQ does not look at IORING_SQ_CQ_OVERFLOW, so the backlog stays in the kernel."));
  specimens.push_back(reading_loop<NoEventsUnlessWaiting>(
      "no-getevents-unless-waiting", {"B26"},
      "IORING_ENTER_GETEVENTS is left out where no completion is waited for, so the backlog stays in the kernel."));
  specimens.push_back(reading_loop<DeferredNotAskedFor>(
      "deferred-work-not-asked-for", {"B31"},
      "Under DEFER_TASKRUN the kernel is entered without IORING_ENTER_GETEVENTS, so nothing completes."));
  specimens.push_back(reading_loop<UseAfterSeen>("cqe-used-after-seen", {"B15"},
                                                 "A CQE is read after it was given back to the kernel."));
  specimens.push_back(reading_loop<ForeignCompletion>("foreign-completion-ends-the-loop", {"B39"},
                                                      "A completion that the loop did not ask for ends it."));
}

}  // namespace assay::conformance
