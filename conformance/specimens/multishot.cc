// Multishot requests: polls and accepts that have many completions, and end when the kernel likes.

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

enum class MultishotDefect { kNone, kAbortsAtTheEnd, kNotArmedAgain, kCountedOnce };

// Keeps a multishot request armed until `told` has had enough of its results.
class Multishot {
 public:
  Multishot(SmallLoop& loop, SmallLoop::Prepare prepare, std::function<bool(int res)> told, MultishotDefect defect)
      : loop_(loop), prepare_(std::move(prepare)), told_(std::move(told)), defect_(defect) {}

  int run() {
    if (loop_.error() != 0) return loop_.error();
    arm();
    if (defect_ == MultishotDefect::kCountedOnce) {
      loop_.run_until([this] { return completions_ == armed_; });
    } else {
      loop_.run();
    }
    return loop_.error() != 0 ? loop_.error() : error_;
  }

 private:
  void arm() {
    ++armed_;
    name_ = loop_.start(prepare_, [this](const io_uring_cqe& cqe) { completed(cqe); });
  }

  void completed(const io_uring_cqe& cqe) {
    ++completions_;
    const bool is_last = (cqe.flags & IORING_CQE_F_MORE) == 0;
    if (over_ || loop_.error() != 0) {
      if (cqe.res >= 0) told_(cqe.res);  // a connection must be closed all the same
      return;
    }
    if (is_last && cqe.res >= 0 && defect_ == MultishotDefect::kAbortsAtTheEnd) std::abort();  // "cannot happen"
    if (cqe.res < 0 && cqe.res != -EINTR && cqe.res != -EAGAIN) {
      error_ = cqe.res;
      return;
    }
    if (cqe.res >= 0 && !told_(cqe.res)) {
      over_ = true;
      return loop_.cancel(name_);
    }
    if (is_last && (cqe.res < 0 || defect_ != MultishotDefect::kNotArmedAgain)) arm();
  }

  SmallLoop& loop_;
  SmallLoop::Prepare prepare_;
  std::function<bool(int res)> told_;
  MultishotDefect defect_;
  std::uint64_t name_ = 0;
  unsigned armed_ = 0;
  unsigned completions_ = 0;
  bool over_ = false;
  int error_ = 0;
};

std::function<DoorbellWaiter(bool)> doorbell_with(MultishotDefect defect) {
  return [defect](bool has_defect) {
    return [defect = has_defect ? defect : MultishotDefect::kNone](Kernel& kernel, int event_fd,
                                                                   const std::function<bool()>& rung) {
      SmallLoop loop(kernel);
      return Multishot(
                 loop, [event_fd](io_uring_sqe& sqe) { io_uring_prep_poll_multishot(&sqe, event_fd, POLLIN); },
                 [&](int) { return rung(); }, defect)
          .run();
    };
  };
}

Accepter accepter(bool defect) {
  return [defect](Kernel& kernel, int listener, const std::function<bool(int fd)>& accepted) {
    SmallLoop loop(kernel);
    return Multishot(
               loop,
               [listener](io_uring_sqe& sqe) {
                 io_uring_prep_multishot_accept(&sqe, listener, nullptr, nullptr, SOCK_CLOEXEC);
               },
               accepted, defect ? MultishotDefect::kNotArmedAgain : MultishotDefect::kNone)
        .run();
  };
}

}  // namespace

void internal::add_multishot_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<DoorbellWaiter>(
      "multishot-end-aborts", {"B48"}, "A multishot poll that the kernel ends aborts the process.",
      "hears-the-doorbell", hears_the_doorbell, doorbell_with(MultishotDefect::kAbortsAtTheEnd)));
  specimens.push_back(specimen_of<DoorbellWaiter>(
      "poll-not-armed-again", {"B49"}, "A multishot poll that the kernel has ended is not armed again.",
      "hears-the-doorbell", hears_the_doorbell, doorbell_with(MultishotDefect::kNotArmedAgain)));
  specimens.push_back(specimen_of<DoorbellWaiter>(
      "one-completion-a-submission", {"B51"}, "A multishot poll is taken to be over with its first completion.",
      "hears-the-doorbell", hears_the_doorbell, doorbell_with(MultishotDefect::kCountedOnce)));
  specimens.push_back(specimen_of<Accepter>("accept-not-armed-again", {"B50"},
                                            "A multishot accept that the kernel has ended is not armed again.",
                                            "accepts-each", accepts_each, accepter));
}

}  // namespace assay::conformance
