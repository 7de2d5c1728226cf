// Sends without a copy, which have two completions: the result, and that the buffer is free.

#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

enum class SendDefect { kNone, kOneCompletion, kAnyNotification, kFailureIsTheLast, kRefusedIsFinal, kNoPlainSend };

class ZeroCopySend {
 public:
  ZeroCopySend(SmallLoop& loop, int socket, std::span<std::byte> from, SendDefect defect)
      : loop_(loop), socket_(socket), rest_(from), defect_(defect) {}

  int run() {
    if (loop_.error() != 0) return loop_.error();
    start();
    switch (defect_) {
      case SendDefect::kOneCompletion:
        loop_.run_until([this] { return rest_.empty() || error_ != 0; });
        break;
      case SendDefect::kAnyNotification:
        loop_.run_until([this] { return !in_flight_; });
        break;
      default:
        loop_.run();
    }
    if (loop_.error() != 0) return loop_.error();
    return error_ != 0 ? error_ : static_cast<int>(sent_);
  }

 private:
  void start() {
    in_flight_ = true;
    loop_.start(
        [this, plain = plain_](io_uring_sqe& sqe) {
          if (plain) {
            io_uring_prep_send(&sqe, socket_, rest_.data(), rest_.size(), MSG_NOSIGNAL);
          } else {
            io_uring_prep_send_zc(&sqe, socket_, rest_.data(), rest_.size(), MSG_NOSIGNAL, 0);
          }
        },
        [this](const io_uring_cqe& cqe) { completed(cqe); });
  }

  void completed(const io_uring_cqe& cqe) {
    if ((cqe.flags & IORING_CQE_F_NOTIF) != 0) {
      if (error_ != 0 && defect_ == SendDefect::kFailureIsTheLast) std::abort();  // of a send that was forgotten
      in_flight_ = false;
      return;
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) in_flight_ = false;
    switch (cqe.res) {
      case -EINTR:
        return start();
      case -EAGAIN:
        if (defect_ == SendDefect::kRefusedIsFinal) break;
        return start();
      case -EOPNOTSUPP:  // this kind of socket has no zero copy
        if (defect_ == SendDefect::kNoPlainSend || plain_) break;
        plain_ = true;
        return start();
      default:
        break;
    }
    if (cqe.res < 0) {
      error_ = cqe.res;
      return;
    }
    sent_ += static_cast<std::size_t>(cqe.res);
    rest_ = rest_.subspan(static_cast<std::size_t>(cqe.res));
    if (!rest_.empty()) start();
  }

  SmallLoop& loop_;
  int socket_;
  std::span<std::byte> rest_;
  SendDefect defect_;
  bool plain_ = false;
  bool in_flight_ = false;
  std::size_t sent_ = 0;
  int error_ = 0;
};

std::function<Sender(bool)> sender_with(SendDefect defect) {
  return [defect](bool has_defect) {
    return [defect = has_defect ? defect : SendDefect::kNone](Kernel& kernel, int socket, std::span<std::byte> from) {
      SmallLoop loop(kernel);
      return ZeroCopySend(loop, socket, from, defect).run();
    };
  };
}

}  // namespace

void internal::add_zero_copy_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<Sender>("notification-of-a-failed-send", {"B58"},
                                          "A zero-copy send that failed is forgotten, and its notification aborts the "
                                          "process.",
                                          "sends-whole", sends_whole, sender_with(SendDefect::kFailureIsTheLast)));
  specimens.push_back(specimen_of<Sender>("any-notification-frees", {"B59"},
                                          "The notification of a short zero-copy send is taken for that of the send "
                                          "of the rest.",
                                          "sends-whole", sends_whole, sender_with(SendDefect::kAnyNotification)));
  specimens.push_back(specimen_of<Sender>("one-completion-a-zero-copy-send", {"B60"},
                                          "A zero-copy send is taken to be over with its result, and its notification "
                                          "not awaited.",
                                          "sends-whole", sends_whole, sender_with(SendDefect::kOneCompletion)));
  specimens.push_back(specimen_of<Sender>("refused-send-is-final", {"B79"},
                                          "A send that ends with -EAGAIN is not tried again.", "sends-whole",
                                          sends_whole, sender_with(SendDefect::kRefusedIsFinal)));
  specimens.push_back(specimen_of<Sender>(
      "no-plain-send", {"B70"}, "-EOPNOTSUPP, which the system call would not have given, is passed on.",
      "sends-whole-locally", sends_whole_locally, sender_with(SendDefect::kNoPlainSend)));
}

}  // namespace assay::conformance
