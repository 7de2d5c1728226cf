// Waiting: for completions, for readability, for time to pass. Follows io_cqring_wait in io_uring/io_uring.c.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"
#include "assay/mocks/sim/visit.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {

constexpr std::size_t kKernelSigsetBytes = 8;
constexpr Nanoseconds kRevisitEvery = 1'000'000;

/// ppoll(2) with a signal mask in the kernel's form.
int ppoll_masked(pollfd* fds, std::size_t count, const timespec* timeout, const sigset_t* mask) {
  // The system call writes the time that is left over it.
  timespec left{};
  if (timeout != nullptr) left = *timeout;
  const long result = ::syscall(SYS_ppoll, fds, count, timeout != nullptr ? &left : nullptr, mask, kKernelSigsetBytes);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace

int SimWorld::parse_mask(std::uint64_t address, std::size_t bytes, Wait* wait) {
  wait->mask = reinterpret_cast<const sigset_t*>(address);
  if (wait->mask == nullptr) return 0;
  if (bytes != kKernelSigsetBytes) return -EINVAL;
  return is_user_memory(wait->mask, kKernelSigsetBytes) ? 0 : -EFAULT;
}

/// With IORING_ENTER_EXT_ARG_REG (6.13) the argument lies in the ring's memory region, and `arg` is its offset there.
int SimWorld::parse_registered_wait(const SimRing& ring, unsigned flags, const void* arg, std::size_t arg_bytes,
                                    Wait* wait, Nanoseconds* min_wait) {
  if (arg_bytes != sizeof(uapi::RegisteredWait)) return -EINVAL;
  const uapi::RegisteredWait* argument = ring.region().wait_at(reinterpret_cast<std::uint64_t>(arg));
  if (argument == nullptr) return -EFAULT;
  if ((argument->flags & ~uapi::kRegisteredWaitTs) != 0) return -EINVAL;
  *min_wait = Nanoseconds{argument->min_wait_usec} * 1'000;
  if ((argument->flags & uapi::kRegisteredWaitTs) != 0) {
    wait->deadline = clock_.deadline(ring.clock(), to_nanoseconds(argument->ts.tv_sec, argument->ts.tv_nsec),
                                     (flags & uapi::kEnterAbsTimer) != 0);
  }
  return parse_mask(argument->sigmask, argument->sigmask_sz, wait);
}

int SimWorld::parse_wait(const SimRing& ring, unsigned flags, const void* arg, std::size_t arg_bytes, Wait* wait,
                         Nanoseconds* min_wait) {
  if (!(flags & IORING_ENTER_EXT_ARG)) return parse_mask(reinterpret_cast<std::uint64_t>(arg), arg_bytes, wait);
  if (flags & uapi::kEnterExtArgReg) return parse_registered_wait(ring, flags, arg, arg_bytes, wait, min_wait);
  struct GetEventsArgument {  // struct io_uring_getevents_arg; the third word was padding until 6.12
    std::uint64_t sigmask;
    std::uint32_t sigmask_bytes;
    std::uint32_t min_wait_us;
    std::uint64_t time;
  } argument;
  if (arg_bytes != sizeof argument) return -EINVAL;
  if (!copy_from_user(&argument, arg, sizeof argument)) return -EFAULT;
  if (has_feature(uapi::kFeatMinTimeout)) {
    *min_wait = Nanoseconds{argument.min_wait_us} * 1'000;
  } else if (argument.min_wait_us != 0 && is_since(5, 19)) {
    return -EINVAL;
  }
  if (argument.time != 0) {
    __kernel_timespec time;
    if (!copy_from_user(&time, argument.time, sizeof time)) return -EFAULT;
    wait->deadline =
        clock_.deadline(ring.clock(), to_nanoseconds(time.tv_sec, time.tv_nsec), (flags & uapi::kEnterAbsTimer) != 0);
  }
  return parse_mask(argument.sigmask, argument.sigmask_bytes, wait);
}

int SimWorld::wait_for_completions(Visit& visit, SimRing& ring, unsigned min_complete, const Wait& wait,
                                   Nanoseconds min_wait) {
  const Semantics& semantics = profile_.semantics;
  CompletionQueue& cq = ring.cq();
  const bool deferred = ring.has_flag(IORING_SETUP_DEFER_TASKRUN);
  if (deferred && ring.issued_by_other()) return -EEXIST;
  min_complete = std::min(min_complete, ring.memory().cq_entries());
  const auto run_task_work = [&] {
    if (!deferred) return ring.run_task_work();
    const auto missing = static_cast<std::int32_t>(ring.memory().load_cq_head() + min_complete - cq.tail());
    return ring.run_deferred_task_work(static_cast<unsigned>(std::max(missing, 0)));
  };
  run_task_work();
  ring.flush_backlog();
  if (cq.waiting() >= min_complete) return 0;

  const std::uint32_t target = ring.memory().load_cq_head() + min_complete;
  const std::uint32_t first_tail = cq.tail();
  const std::uint32_t fired = ring.timeouts_fired();
  const Nanoseconds min_deadline = min_wait > 0 ? clock_.deadline(CLOCK_MONOTONIC, min_wait, false) : kNever;
  const auto enough = [&] {
    return static_cast<std::int32_t>(cq.tail() - target) >= 0 || ring.timeouts_fired() != fired;
  };
  bool min_wait_over = min_wait == 0;

  int result = 0;
  for (;;) {
    // Task work goes on as long as there is some: -ETIME and -EINTR come after it.
    while (step(true) || run_task_work()) {
      if (enough()) break;
    }
    // (5.12 to 6.1 gave up with -EBUSY where the backlog cannot be flushed. Nobody is told, for then the CQ is full.)
    ring.flush_backlog();
    if (cq.dropped() && semantics.ebadr_after_drop) result = -EBADR;
    if (result != 0 || enough()) break;
    if (!min_wait_over && clock_.now() >= min_deadline) {
      min_wait_over = true;
      // Whatever is there by now will do; without a longer limit the wait is over even with nothing.
      if (cq.waiting() > 0 || cq.tail() != first_tail) break;
      if (wait.deadline == kNever || wait.deadline <= min_deadline) {
        result = -ETIME;
      } else if (semantics.min_wait_ends_early) {
        break;
      }
    }
    if (min_wait > 0 && min_wait_over && cq.waiting() > 0) break;
    // A limit that is shorter than the minimum counts only when that is over.
    if (result == 0 && min_wait_over && clock_.now() >= wait.deadline) result = -ETIME;
    if (result != 0) break;
    Wait pause = wait;
    if (!min_wait_over) pause.deadline = min_deadline;
    result = sleep(visit, pause);
    if (result != 0) break;
  }
  if (result == -EINTR) {
    step(true);
    run_task_work();
  }
  // A kernel would wait for ever, so that must not look like success even where some completions are there.
  if (result == -EDEADLK) return result;
  return cq.waiting() == 0 ? result : 0;
}

int SimWorld::wait_readable(int ring_fd, const timespec* timeout) {
  Visit visit(*this);
  SimRing* ring = find(ring_fd);
  if (ring == nullptr) return -EBADF;
  const Visit::Use use(visit, *ring);
  if (strict_) ring->cq().scribble_passed();
  Wait wait;
  if (timeout != nullptr) {
    wait.deadline = clock_.deadline(CLOCK_MONOTONIC, to_nanoseconds(timeout->tv_sec, timeout->tv_nsec), false);
  }
  for (;;) {
    step(true);
    if (ring->readable()) return 1;
    if (clock_.now() >= wait.deadline) return 0;
    if (const int error = sleep(visit, wait); error != 0) return error;
  }
}

Nanoseconds SimWorld::next_deadline() const {
  Nanoseconds next = kNever;
  for (const auto& ring : rings_) next = std::min(next, ring->next_deadline());
  return next;
}

bool SimWorld::revisit_all() {
  bool found = false;
  for (const auto& ring : rings_) found |= ring->has_revisited() && ring->revisit(true);
  return found;
}

int SimWorld::sleep(Visit& visit, const Wait& wait) {
  if (revisit_all()) return 0;
  if (std::any_of(rings_.begin(), rings_.end(), [](const auto& ring) { return ring->let_go_held(); })) return 0;
  for (const auto& ring : rings_) ring->update_doorbell();
  return clock_.real() ? sleep_real(visit.lock(), wait) : sleep_virtual(visit, wait);
}

/// Virtual time goes on when all threads in here wait. The last one to do so decides, and sends the others on.
int SimWorld::sleep_virtual(Visit& visit, const Wait& wait) {
  if (wait.mask != nullptr) {
    // A signal that only this mask lets through is delivered now, and that ends the wait.
    const timespec zero{};
    if (ppoll_masked(nullptr, 0, &zero, wait.mask) == -EINTR) return -EINTR;
  }
  const auto deadline = wait_deadlines_.insert(wait.deadline);
  int result = 0;
  if (++waiting_ < inside_.load(std::memory_order_relaxed)) {
    const std::uint64_t epoch = epoch_;
    changed_.wait(visit.lock(), [&] { return epoch_ != epoch; });
  } else {
    const Nanoseconds next = std::min(next_deadline(), *wait_deadlines_.begin());
    if (next == kNever) {
      --waiting_;
      result = -EDEADLK;
    } else {
      clock_.advance_to(next);
      wake_sleepers();
    }
  }
  wait_deadlines_.erase(deadline);
  return result;
}

int SimWorld::sleep_real(std::unique_lock<std::mutex>& lock, const Wait& wait, int other_fd) {
  Descriptor waker;
  if (!spare_wakers_.empty()) {
    waker = std::move(spare_wakers_.back());
    spare_wakers_.pop_back();
  } else {
    waker = Descriptor::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!waker) return -ENOMEM;
  }
  std::vector<pollfd> fds{{waker.get(), POLLIN, 0}};
  if (other_fd >= 0) fds.push_back({other_fd, POLLIN, 0});
  for (const auto& ring : rings_) {
    if (ring->armed_files_fd() >= 0) fds.push_back({ring->armed_files_fd(), POLLIN, 0});
  }
  Nanoseconds next = std::min(wait.deadline, next_deadline());
  for (const auto& ring : rings_) {
    // Nobody tells when such a wait is over.
    if (ring->has_revisited()) next = std::min(next, clock_.now() + kRevisitEvery);
  }
  timespec left{};
  if (next != kNever) {
    const Nanoseconds duration = std::max<Nanoseconds>(next - clock_.now(), 0);
    left = {duration / 1'000'000'000, duration % 1'000'000'000};
  }

  sleepers_.push_back(waker.get());
  lock.unlock();
  const int ready = ppoll_masked(fds.data(), fds.size(), next != kNever ? &left : nullptr, wait.mask);
  lock.lock();
  std::erase(sleepers_, waker.get());

  std::uint64_t count;
  static_cast<void>(!::read(waker.get(), &count, sizeof count));
  spare_wakers_.push_back(std::move(waker));
  return ready == -EINTR ? -EINTR : 0;
}

void SimWorld::wake_sleepers() {
  if (waiting_ > 0) {
    waiting_ = 0;
    ++epoch_;
    changed_.notify_all();
  }
  for (const int waker : sleepers_) {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(waker, &one, sizeof one));
  }
}

}  // namespace assay::internal
