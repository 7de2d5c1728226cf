// What submitting, posting and waiting do: no feature bit tells.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

constexpr __kernel_timespec kBriefly = {0, 50'000'000};

/// What overflowing a small CQ with NOPs shows.
struct OverflowTrial {
  Verdict drops;
  Verdict submit_ebusy;
  Verdict flag;
};

/// Submits `count` NOPs, one a call, until one is refused.
int submit_nops(Ring& ring, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    next_sqe(ring, IORING_OP_NOP, 100 + i);
    const int result = ring.submit();
    if (result != 1) return result;
  }
  return 0;
}

/// Fills the CQ, one more, and another: the last submission finds an overflow backlog, or a dropped completion.
OverflowTrial try_overflow(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring || submit_nops(*ring, ring->cq_entries() + 1) != 0) return {};
  const bool drops = ring->cq_overflow_count() != 0;
  const bool flag = ring->cq_has_overflow();
  const int result = submit_nops(*ring, 1);
  return {drops, result == -EBUSY, drops ? std::nullopt : Verdict(flag)};
}

/// An overflow backlog, and a CQ that is empty again: does a new completion wait behind what is kept?
Verdict try_order_behind_backlog(Kernel& kernel) {
  constexpr std::uint64_t kLate = 1;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring || submit_nops(*ring, ring->cq_entries() + 1) != 0 || ring->cq_overflow_count() != 0) return std::nullopt;
  ring->cq_advance(ring->cq_entries());
  next_sqe(*ring, IORING_OP_NOP, kLate);
  ring->flush_sq();
  if (kernel.enter(ring->fd(), 1, 0, 0, nullptr, 0) != 1) return std::nullopt;
  if (ring->cq_ready() == 0) return true;
  // A kernel that flushes before it submits has no backlog left by now.
  return ring->peek_cqe()->user_data == kLate ? Verdict(false) : std::nullopt;
}

/// A multishot poll that fires while the CQ is full: does it go on?
Verdict try_multishot_overflow(Kernel& kernel) {
  constexpr std::uint64_t kPoll = 1;
  const int event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd < 0) return std::nullopt;
  Verdict ends;
  if (Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4}); ring) {
    io_uring_sqe& sqe = next_sqe(*ring, IORING_OP_POLL_ADD, kPoll);
    sqe.fd = event_fd;
    sqe.poll32_events = POLLIN;
    sqe.len = IORING_POLL_ADD_MULTI;
    const std::uint64_t one = 1;
    if (ring->submit() == 1 && submit_nops(*ring, ring->cq_entries()) == 0 &&
        ::write(event_fd, &one, sizeof one) == sizeof one) {
      ring->get_events();
      const auto poll = find_completion(run_trial(*ring, ring->cq_entries() + 1), kPoll);
      if (poll && poll->res > 0) ends = (poll->flags & IORING_CQE_F_MORE) == 0;
    }
  }
  ::close(event_fd);
  return ends;
}

/// Listens at an abstract address and connects a client when asked to.
class Listener {
 public:
  Listener() : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sun_family = AF_UNIX;
    auto* const name = reinterpret_cast<sockaddr*>(&address_);
    // Binding to a family alone asks for a name.
    listens_ =
        ::bind(fd_, name, sizeof(sa_family_t)) == 0 && ::listen(fd_, 1) == 0 && ::getsockname(fd_, name, &bytes_) == 0;
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() {
    ::close(fd_);
    ::close(client_);
  }
  explicit operator bool() const { return listens_; }
  int fd() const { return fd_; }
  bool connect() { return ::connect(client_, reinterpret_cast<const sockaddr*>(&address_), bytes_) == 0; }

 private:
  int fd_;
  int client_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address_{};
  socklen_t bytes_ = sizeof address_;
  bool listens_ = false;
};

/// A multishot accept of a connection that comes while the CQ is full: does it go on?
Verdict try_accept_overflow(Kernel& kernel) {
  constexpr std::uint64_t kAccept = 1;
  Listener listener;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!listener || !ring) return std::nullopt;
  io_uring_sqe& sqe = next_sqe(*ring, IORING_OP_ACCEPT, kAccept);
  sqe.fd = listener.fd();
  sqe.ioprio = IORING_ACCEPT_MULTISHOT;
  if (ring->submit() != 1 || submit_nops(*ring, ring->cq_entries()) != 0 || !listener.connect()) return std::nullopt;
  ring->get_events();
  const auto accepted = find_completion(run_trial(*ring, ring->cq_entries() + 1), kAccept);
  if (!accepted || accepted->res < 0) return std::nullopt;
  ::close(accepted->res);
  return (accepted->flags & IORING_CQE_F_MORE) != 0;
}

/// A bad SQE and a NOP in one call: is the NOP taken?
Verdict try_bad_sqe_in_batch(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  next_sqe(*ring, 255, 1);
  next_sqe(*ring, IORING_OP_NOP, 2);
  const int consumed = ring->submit();
  if (consumed < 1) return std::nullopt;
  return consumed == 1;
}

/// The same, where it is the operation that finds the SQE bad: a timeout of no time at all.
Verdict try_refusal_by_operation(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  next_sqe(*ring, IORING_OP_TIMEOUT, 1);
  next_sqe(*ring, IORING_OP_NOP, 2);
  const int consumed = ring->submit();
  if (consumed < 1) return std::nullopt;
  return consumed == 1;
}

/// A chain whose head is bad: does the rest of it fail, or run by itself, or not at all?
Verdict try_bad_head_of_chain(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  next_sqe(*ring, 255, 1).flags = IOSQE_IO_LINK;
  next_sqe(*ring, IORING_OP_NOP, 2);
  const int consumed = ring->submit();
  if (consumed < 1) return std::nullopt;
  const auto rest = consumed == 2 ? find_completion(run_trial(*ring, 2), 2) : std::nullopt;
  return rest && rest->res == -ECANCELED;
}

/// A chain of two, and a third request: which of the latter two is first?
Verdict try_order_of_links(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  next_sqe(*ring, IORING_OP_NOP, 1).flags = IOSQE_IO_LINK;
  next_sqe(*ring, IORING_OP_NOP, 2);
  next_sqe(*ring, IORING_OP_NOP, 3);
  if (ring->submit() != 3) return std::nullopt;
  const std::vector<TrialCompletion> completions = run_trial(*ring, 3);
  if (completions.size() != 3 || completions[0].res != 0) return std::nullopt;
  return completions[1].user_data == 2;
}

/// Two SQEs are announced and one is there, a timeout: is it waited for?
Verdict try_under_submission(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe& timeout = next_sqe(*ring, IORING_OP_TIMEOUT, 1);
  timeout.addr = reinterpret_cast<std::uintptr_t>(&kBriefly);
  timeout.len = 1;
  timeout.off = 1;
  ring->flush_sq();
  if (kernel.enter(ring->fd(), 2, 1, IORING_ENTER_GETEVENTS, nullptr, 8) != 1) return std::nullopt;
  if (ring->cq_ready() == 0) return false;
  return ring->peek_cqe()->res == -ETIME ? Verdict(true) : std::nullopt;
}

/// A ring whose task work runs only in waits.
Result<Ring> make_deferred_ring(Kernel& kernel) {
  constexpr std::uint32_t kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  return Ring::create(kernel, {.sq_entries = 64, .setup_flags = kDeferred});
}

/// How many completions a wait for one of them finds, when `polls` polls of one file have fired, the last of which has
/// `links` NOPs linked to it.
std::optional<unsigned> count_deferred(Kernel& kernel, unsigned polls, unsigned links) {
  const int event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd < 0) return std::nullopt;
  std::optional<unsigned> count;
  if (Result<Ring> ring = make_deferred_ring(kernel); ring) {
    for (unsigned i = 0; i < polls; ++i) {
      io_uring_sqe& poll = next_sqe(*ring, IORING_OP_POLL_ADD, 1);
      poll.fd = event_fd;
      poll.poll32_events = POLLIN;
      if (i + 1 == polls && links > 0) poll.flags = IOSQE_IO_LINK;
    }
    for (unsigned i = 0; i < links; ++i) {
      next_sqe(*ring, IORING_OP_NOP, 2).flags = i + 1 < links ? IOSQE_IO_LINK : 0;
    }
    const std::uint64_t one = 1;
    if (ring->submit() == static_cast<int>(polls + links) && ::write(event_fd, &one, sizeof one) == sizeof one &&
        kernel.enter(ring->fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, 8) == 0) {
      count = ring->cq_ready();
    }
  }
  ::close(event_fd);
  return count;
}

Verdict try_passes_of_task_work(Kernel& kernel) {
  const std::optional<unsigned> count = count_deferred(kernel, 1, 2);
  return count ? Verdict(*count == 1) : std::nullopt;
}

Verdict try_limit_of_task_work(Kernel& kernel) {
  constexpr unsigned kMany = 40;
  const std::optional<unsigned> count = count_deferred(kernel, kMany, 0);
  return count ? Verdict(*count < kMany) : std::nullopt;
}

/// Two polls one after the other, each of which wakes whoever waits for the ring's eventfd. Of pipes: what other
/// eventfds wake is told in another way.
Verdict try_eventfd_of_deferred(Kernel& kernel) {
  Result<Ring> ring = make_deferred_ring(kernel);
  if (!ring) return false;
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  const int told = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  Verdict last;
  if (told >= 0 && ring->register_eventfd(told) == 0) {
    for (int round = 0; round < 2; ++round) {
      io_uring_sqe& poll = next_sqe(*ring, IORING_OP_POLL_ADD, 1);
      poll.fd = pipe_fds[0];
      poll.poll32_events = POLLIN;
      char byte = 'x';
      if (ring->submit() != 1 || ::write(pipe_fds[1], &byte, 1) != 1) break;
      kernel.relax(ring->fd());
      // Since 7.1 the signal comes a little later.
      constexpr int kPatienceMs = 200;
      pollfd readable{.fd = told, .events = POLLIN, .revents = 0};
      const bool is_told = ::poll(&readable, 1, kPatienceMs) == 1;
      if (ring->get_events() < 0 || ring->cq_ready() != 1 || ::read(pipe_fds[0], &byte, 1) != 1) break;
      ring->cq_advance(1);
      std::uint64_t count;
      (void)!::read(told, &count, sizeof count);
      if (round == 0 && !is_told) break;
      if (round == 1) last = !is_told;
    }
  }
  if (told >= 0) ::close(told);
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
  return last;
}

/// A wait of a millisecond at least and fifty at most, for what never comes: -ETIME, unless it ends with the minimum.
Verdict try_minimum_wait(Kernel& kernel, bool has_minimum) {
  if (!has_minimum) return false;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  const struct {
    std::uint64_t sigmask = 0;
    std::uint32_t sigmask_bytes = 0;
    std::uint32_t min_wait_us = 1000;
    std::uint64_t time = reinterpret_cast<std::uintptr_t>(&kBriefly);
  } argument;
  const int result =
      kernel.enter(ring->fd(), 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  if (result != 0 && result != -ETIME) return std::nullopt;
  return result == 0;
}

Verdict try_sqpoll_wakeup(Kernel& kernel) {
  const TrialRing ring(kernel, IORING_SETUP_SQPOLL);
  if (!ring) return std::nullopt;
  return kernel.enter(ring.fd(), 0, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0) == -EOWNERDEAD;
}

}  // namespace

std::vector<SwitchTrial> try_submission_switches(Kernel& kernel, std::uint32_t features) {
  const OverflowTrial overflow = try_overflow(kernel);
  const Verdict multishot_ends = try_multishot_overflow(kernel);
  const Verdict accept_goes_on = multishot_ends.value_or(false) ? try_accept_overflow(kernel) : Verdict(false);
  return {
      {&Semantics::overflow_drops, overflow.drops},
      {&Semantics::submit_ebusy_on_overflow, overflow.submit_ebusy},
      {&Semantics::overflow_flag, overflow.flag},
      {&Semantics::backlog_keeps_order, try_order_behind_backlog(kernel)},
      {&Semantics::multishot_ends_on_overflow, multishot_ends},
      {&Semantics::io_multishot_overflows, accept_goes_on},
      {&Semantics::batch_stops_at_bad_sqe, try_bad_sqe_in_batch(kernel)},
      {&Semantics::refusal_by_operation_stops_batch, try_refusal_by_operation(kernel)},
      {&Semantics::bad_sqe_keeps_chain, try_bad_head_of_chain(kernel)},
      {&Semantics::links_run_at_once, try_order_of_links(kernel)},
      {&Semantics::under_submission_waits, try_under_submission(kernel)},
      {&Semantics::deferred_task_work_in_passes, try_passes_of_task_work(kernel)},
      {&Semantics::deferred_task_work_limited, try_limit_of_task_work(kernel)},
      {&Semantics::min_wait_ends_early, try_minimum_wait(kernel, (features & uapi::kFeatMinTimeout) != 0)},
      {&Semantics::deferred_eventfd_once, try_eventfd_of_deferred(kernel)},
      {&Semantics::sqpoll_eownerdead, try_sqpoll_wakeup(kernel)},
  };
}

}  // namespace assay::internal
