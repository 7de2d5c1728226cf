// Interruptions: of a submission, of a wait, of a wait whose count hides it, and of a request.

#include <cerrno>
#include <cstdlib>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

class EndedByInterruption final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  bool bears(int answer) override {
    if (defect_ && answer == -EINTR) return false;
    return SmallLoop::bears(answer);
  }
};

// Submission and wait are two calls here, and only one of them was thought to be interruptible.
class InterruptedSubmission final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  int enter() override {
    const int submitted = ring().submit();
    if (submitted < 0) {
      submission_failed_ = true;
      return submitted;
    }
    submission_failed_ = false;
    io_uring_cqe* cqe = nullptr;
    return ring().wait_cqe(&cqe);
  }
  bool bears(int answer) override {
    if (defect_ && submission_failed_ && answer == -EINTR) return false;
    return SmallLoop::bears(answer);
  }

  bool submission_failed_ = false;
};

class AbortingWait final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  bool bears(int answer) override {
    if (defect_ && answer != 0) std::abort();  // "cannot happen"
    return SmallLoop::bears(answer);
  }
};

// Takes one completion a turn, which the wait is to have brought.
class OneAfterEachWait : public DefectiveLoop {
 protected:
  using DefectiveLoop::DefectiveLoop;
  virtual bool believes(int answer) const = 0;

 private:
  int enter() override { return answer_ = SmallLoop::enter(); }
  void reap() override {
    io_uring_cqe* const cqe = ring().peek_cqe();
    if (defect_ ? !believes(answer_) : cqe == nullptr) return;
    tell(*cqe);
    ring().cqe_seen(cqe);
  }

  int answer_ = 0;
};

class IgnoredResult final : public OneAfterEachWait {
 public:
  using OneAfterEachWait::OneAfterEachWait;

 private:
  bool believes(int) const override { return true; }
};

class CountForACompletion final : public OneAfterEachWait {
 public:
  using OneAfterEachWait::OneAfterEachWait;

 private:
  bool believes(int answer) const override { return answer >= 0; }
};

// A request that was interrupted is over like one that failed.
class InterruptedRequests final : public TransferJob {
 public:
  InterruptedRequests(const TransferJob& job, bool defect) : TransferJob(job), defect_(defect) {}

 private:
  void told(const Block& block, int res) override {
    if (defect_ && res == -EINTR) {
      error_ = res;
      return;
    }
    TransferJob::told(block, res);
  }

  bool defect_;
};

}  // namespace

void internal::add_eintr_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(reading_loop<EndedByInterruption>("eintr-ends-the-loop", {"B01", "B02"},
                                                        "-EINTR from io_uring_enter ends the loop."));
  specimens.push_back(reading_loop<InterruptedSubmission>(
      "eintr-of-a-submission", {"B03"}, "-EINTR is borne by the call that waits, not by the one that submits."));
  specimens.push_back(
      reading_loop<AbortingWait>("eintr-aborts", {"B04"}, "Whatever a wait answers but success aborts the process."));
  specimens.push_back(
      reading_loop<IgnoredResult>("wait-not-looked-at", {"B05"},
                                  "What the wait answers is ignored, and the completion that it did not bring used."));
  specimens.push_back(
      sleeping_loop<CountForACompletion>("count-taken-for-a-completion", {"B06"},
                                         "A wait that returns how many SQEs it took is believed to have brought a "
                                         "completion, though it was interrupted."));
  specimens.push_back(specimen_of<FileReader>(
      "interrupted-read-is-final", {"B08"}, "A read that ends with -EINTR is not tried again.", "reads-whole",
      reads_whole, [](bool defect) {
        return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
          SmallLoop loop(kernel);
          return InterruptedRequests(TransferJob::read(loop, fd, offset, into), defect).run();
        };
      }));
  specimens.push_back(specimen_of<FileWriter>(
      "interrupted-write-is-final", {"B07"}, "A write that ends with -EINTR is not tried again.", "writes-whole",
      writes_whole, [](bool defect) {
        return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from) {
          SmallLoop loop(kernel);
          return InterruptedRequests(TransferJob::write(loop, fd, offset, from), defect).run();
        };
      }));
}

}  // namespace assay::conformance
