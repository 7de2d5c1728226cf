// Submissions that the kernel refuses for now: -EAGAIN for want of memory, -EBUSY while completions must be reaped.

#include <cerrno>
#include <cstdlib>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

class EndedByEagain final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  bool bears(int answer) override {
    if (defect_ && answer == -EAGAIN) return false;
    return SmallLoop::bears(answer);
  }
};

class BearsOnlyInterruptions final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  bool bears(int answer) override {
    if (defect_ && answer < 0 && answer != -EINTR) std::abort();  // a database would say PANIC
    return SmallLoop::bears(answer);
  }
};

// io_uring_enter(2) advises to wait for a completion after -EAGAIN, which takes one to be on its way.
class WaitsAfterEagain final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  int enter() override {
    const int answer = ring().submit();
    if (answer < 0 && answer != -EAGAIN) return answer;
    if (answer == -EAGAIN && !defect_ && taken() == 0) return answer;
    io_uring_cqe* cqe = nullptr;
    return ring().wait_cqe(&cqe);
  }
};

class ForgottenRefusal final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  int enter() override {
    const int answer = ring().submit();
    if (answer < 0 && !defect_) return answer;
    io_uring_cqe* cqe = nullptr;
    return ring().wait_cqe(&cqe);
  }
};

class AbortsWhenBusy final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  bool bears(int answer) override {
    if (defect_ && answer == -EBUSY) std::abort();  // an assertion that a submission succeeds
    return SmallLoop::bears(answer);
  }
};

// Submits whenever the SQ is full, and reaps later.
class BusyRetry final : public DefectiveLoop {
 public:
  BusyRetry(Kernel& kernel, bool defect) : DefectiveLoop(kernel, defect, {.sq_entries = 1, .cq_entries = 1}) {}

 private:
  bool has_room(std::size_t sqes) override {
    if (SmallLoop::has_room(sqes)) return true;
    int answer;
    do {
      answer = ring().submit();
    } while (answer == -EINTR || (defect_ && answer == -EBUSY));
    return SmallLoop::has_room(sqes);
  }
};

}  // namespace

void internal::add_refused_submission_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(reading_loop<EndedByEagain>("eagain-ends-the-loop", {"B09", "B82"},
                                                  "-EAGAIN from io_uring_enter ends the loop."));
  specimens.push_back(reading_loop<BearsOnlyInterruptions>(
      "only-eintr-is-borne", {"B13"}, "Each answer of a submission but success and -EINTR aborts the process."));
  specimens.push_back(reading_loop<WaitsAfterEagain>(
      "eagain-waits-for-nothing", {"B10"}, "After -EAGAIN a completion is waited for, though nothing is in flight."));
  specimens.push_back(reading_loop<ForgottenRefusal>(
      "refusal-not-looked-at", {"B19"}, "The answer of a submission is dropped, and what was not submitted awaited."));
  specimens.push_back(
      reading_loop<AbortsWhenBusy>("ebusy-aborts", {"B11"}, "-EBUSY from io_uring_enter aborts the process."));
  // From 5.5 to 5.12 a submission meets it whenever the backlog does not fit.
  specimens.push_back(reading_loop<BusyRetry>(
      "ebusy-retried-without-reaping", {"B12"},
      "After -EBUSY the submission is tried again, and the completions that it waits for are not reaped."));
  specimens.back().kernel = "sim:linux-5.10.0,strict";
}

}  // namespace assay::conformance
