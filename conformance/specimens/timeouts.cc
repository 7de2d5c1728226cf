// Waits that end for want of time rather than with a completion.

#include <cerrno>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

// Waits for a while at a time, as a loop with other duties does.
class SeenWithoutCompletion final : public DefectiveLoop {
  using DefectiveLoop::DefectiveLoop;
  int enter() override {
    constexpr std::chrono::nanoseconds kAWhile = 4ms;
    return answer_ = ring().submit_and_wait(1, kAWhile);
  }
  void reap() override {
    io_uring_cqe* const cqe = ring().peek_cqe();
    if (cqe != nullptr) {
      tell(*cqe);
      ring().cqe_seen(cqe);
    } else if (defect_ && answer_ == -ETIME) {
      ring().cq_advance(1);  // whatever the wait ended with
    }
  }

  int answer_ = 0;
};

}  // namespace

int internal::sleep(SmallLoop& loop, unsigned times, std::chrono::nanoseconds each) {
  if (loop.error() != 0) return loop.error();
  __kernel_timespec time{.tv_sec = 0, .tv_nsec = each.count()};
  int error = 0;
  for (; times != 0 && error == 0 && loop.error() == 0; --times) {
    loop.start([&](io_uring_sqe& sqe) { io_uring_prep_timeout(&sqe, &time, 0, 0); },
               [&](const io_uring_cqe& cqe) { error = cqe.res == -ETIME ? 0 : cqe.res; });
    loop.run();
  }
  return loop.error() != 0 ? loop.error() : error;
}

void internal::add_timeout_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(sleeping_loop<SeenWithoutCompletion>(
      "seen-without-a-completion", {"B92"},
      "A wait that ran out of time is followed by giving back a CQE, though none was there."));
}

}  // namespace assay::conformance
