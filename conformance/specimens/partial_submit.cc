// Submissions that take fewer SQEs than were offered, and an SQ that is full because of it.

#include <cerrno>
#include <cstdlib>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

class AbortsWhenShort final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  int enter() override {
    const int answer = SmallLoop::enter();
    if (defect_ && answer >= 0 && ring().sq_ready() != 0) std::abort();  // "submitted only k of n"
    return answer;
  }
};

// Submits what was prepared since the last time, and then waits without submitting.
class CountsOnAll final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  io_uring_sqe* next_sqe() override {
    io_uring_sqe* const sqe = SmallLoop::next_sqe();
    if (sqe != nullptr) ++prepared_;
    return sqe;
  }
  int enter() override {
    if (prepared_ != 0) {
      const int submitted = ring().submit();
      if (submitted < 0) return submitted;
      prepared_ = defect_ ? 0 : prepared_ - submitted;
      if (prepared_ != 0) return 0;
    }
    io_uring_cqe* cqe = nullptr;
    return ring().wait_cqe(&cqe);
  }

  int prepared_ = 0;
};

// Makes room in the SQ by submitting.
class FullSq : public DefectiveLoop {
 public:
  using DefectiveLoop::DefectiveLoop;

 private:
  bool has_room(std::size_t sqes) override {
    if (!SmallLoop::has_room(sqes)) ring().submit();
    return defect_ || SmallLoop::has_room(sqes);
  }
};

// The same where a poll thread takes the SQEs, in its own time.
class FullSqOfAPollThread final : public FullSq {
 public:
  FullSqOfAPollThread(Kernel& kernel, bool defect)
      : FullSq(kernel, defect, {.sq_entries = kSqEntries, .setup_flags = IORING_SETUP_SQPOLL}) {}

 private:
  bool has_room(std::size_t sqes) override {
    if (!SmallLoop::has_room(sqes) && ring().submit() >= 0) ring().kernel().relax(ring().fd());
    return defect_ || SmallLoop::has_room(sqes);
  }
};

}  // namespace

void internal::add_partial_submit_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(reading_loop<AbortsWhenShort>("short-submit-aborts", {"B14"},
                                                    "A submission that took only some SQEs aborts the process."));
  specimens.push_back(reading_loop<CountsOnAll>("short-submit-not-resumed", {"B16", "B17", "B18"},
                                                "SQEs that a submission left behind are awaited as if it had not."));
  specimens.push_back(reading_loop<FullSq>("full-sq-not-noticed", {"B21"},
                                           "A submission is believed to make room in the SQ, and an SQE that is not "
                                           "there is written to."));
  specimens.push_back(reading_loop<FullSqOfAPollThread>(
      "late-poll-thread-not-noticed", {"B23"},
      "Under SQPOLL a submission is believed to make room in the SQ, though the poll thread does that later."));
}

}  // namespace assay::conformance
