// What brings requests on after their submission: task work, armed files and timers; and who is told.

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {
constexpr std::size_t kAll = ~std::size_t{0};
}

void SimRing::queue_task_work(Request& request, Step step) {
  if (task_work_.empty()) {
    if (has_flag(IORING_SETUP_TASKRUN_FLAG)) memory_.set_sq_flag(IORING_SQ_TASKRUN);
    if (has_flag(IORING_SETUP_DEFER_TASKRUN) && eventfd_) {
      // With deferred task work the eventfd already tells that there is some. Where it is by this very eventfd that the
      // request was woken, the kernel must not signal it at that moment, and does so a little later.
      const bool told_before = std::exchange(eventfd_told_deferred_, true);
      const bool keeps_quiet = told_before && world_.semantics().deferred_eventfd_once;
      const bool by_itself = request.in_epoll && same_file(request.armed_fd, eventfd_.get());
      if (by_itself && !keeps_quiet) eventfd_put_off_ = true;
      if (!by_itself && !keeps_quiet) {
        cq_changed_ = true;
        signal_eventfd();
      }
    }
  }
  request.step = step;
  request.place = Place::kTaskWork;
  task_work_.push_back(&request);
}

/// Runs task work in passes: what is there now, up to `limit` pieces, then what that left behind, as long as fewer than
/// `wanted` pieces have run. The completions of a pass become visible at its end.
bool SimRing::run_passes(std::size_t wanted, std::size_t limit) {
  if (task_work_.empty()) return false;
  const bool has_taskrun_flag = has_flag(IORING_SETUP_TASKRUN_FLAG);
  if (has_taskrun_flag) memory_.clear_sq_flag(IORING_SQ_TASKRUN);
  batching_ = true;
  std::size_t run = 0;
  do {
    for (std::size_t count = task_work_.size(); count > 0 && run < limit; --count, ++run) {
      const std::size_t index = count > 1 ? world_.choose(ChoicePoint::kCompletionOrder, count, nullptr) : 0;
      Request* request = task_work_.take(index);
      request->place = Place::kSubmission;
      request->step(*this, *request);
    }
    flush_completed();
    commit();
  } while (!task_work_.empty() && run < limit && run < wanted);
  batching_ = false;
  if (std::exchange(eventfd_put_off_, false)) signal_eventfd();
  if (has_taskrun_flag) {
    if (task_work_.empty() && held_.empty()) {
      memory_.clear_sq_flag(IORING_SQ_TASKRUN);
    } else {
      memory_.set_sq_flag(IORING_SQ_TASKRUN);
    }
  }
  return true;
}

bool SimRing::run_task_work() { return run_passes(kAll, kAll); }

bool SimRing::run_deferred_task_work(unsigned min_events) {
  const Semantics& semantics = world_.semantics();
  return run_passes(semantics.deferred_task_work_in_passes ? min_events : kAll,
                    semantics.deferred_task_work_limited ? std::max<std::size_t>(20, min_events) : kAll);
}

int SimRing::arm_file(Request& request, std::uint32_t events, Step step) {
  if (!request.file) {
    request.file = Descriptor::duplicate(request.fd);
    if (!request.file) return errno == EBADF ? -EBADF : -ENOMEM;
    request.fd = request.file.get();
  }
  return arm_descriptor(request, request.fd, events, step);
}

int SimRing::arm_descriptor(Request& request, int fd, std::uint32_t events, Step step) {
  if (!armed_files_) {
    armed_files_ = Descriptor::adopt(::epoll_create1(EPOLL_CLOEXEC));
    if (!armed_files_) return -ENOMEM;
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(ring_fd_.get(), EPOLL_CTL_ADD, armed_files_.get(), &event) != 0) return -ENOMEM;
  }
  epoll_event event{};
  event.events = events;
  event.data.ptr = &request;
  // Out and in again, rather than changed: the latest to arm is the first in the file's wait queue.
  disarm_file(request);
  if (::epoll_ctl(armed_files_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return errno == EPERM ? -EPERM : -ENOMEM;
  ++armed_count_;
  request.armed_fd = fd;
  request.in_epoll = true;
  stay_armed(request, step);
  return 0;
}

void SimRing::stay_armed(Request& request, Step step) {
  request.step = step;
  request.serial = world_.next_serial();
  request.ready_events = 0;
  request.asks_again = false;
  request.place = Place::kArmed;
  armed_.push_back(&request);
}

void SimRing::disarm_file(Request& request) {
  if (!request.in_epoll) return;
  ::epoll_ctl(armed_files_.get(), EPOLL_CTL_DEL, request.armed_fd, nullptr);
  request.in_epoll = false;
  --armed_count_;
  if (request.place == Place::kArmed) {
    armed_.remove(&request);
    request.place = Place::kSubmission;
  }
}

void SimRing::arm_timer(Request& request, Step expired) {
  request.step = expired;
  request.serial = world_.next_serial();
  request.place = Place::kTimer;
  timers_.emplace(std::pair(request.deadline, request.serial), &request);
}

void SimRing::disarm_timer(Request& request) {
  if (request.place != Place::kTimer) return;
  timers_.erase(std::pair(request.deadline, request.serial));
  request.place = Place::kSubmission;
}

Nanoseconds SimRing::next_deadline() const { return timers_.empty() ? kNever : timers_.begin()->first.first; }

bool SimRing::collect() {
  bool found = false;
  if (!timers_.empty()) {
    const Nanoseconds now = world_.clock().now();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      Request* request = timers_.begin()->second;
      timers_.erase(timers_.begin());
      request->place = Place::kSubmission;
      request->step(*this, *request);
      found = true;
    }
  }
  if (!revisited_.empty()) found |= revisit(false);
  if (armed_count_ == 0) return found;

  epoll_event events[64];
  std::vector<Request*> ready;
  for (;;) {
    const int count = ::epoll_wait(armed_files_.get(), events, 64, 0);
    for (int index = 0; index < count; ++index) {
      Request* request = static_cast<Request*>(events[index].data.ptr);
      if (request->place == Place::kArmed) {
        request->ready_events = events[index].events;
        ready.push_back(request);
      } else {
        request->asks_again = true;
      }
    }
    if (count < 64) break;
  }
  // epoll reports in the order of wake-ups, with the latest waiter of a file first: the very order in which the
  // kernel's own requests would be woken, since both wait in the same queues.
  for (Request* request : ready) {
    if (request->place != Place::kArmed) continue;  // an edge-triggered one can be reported twice
    armed_.remove(request);
    queue_task_work(*request, request->step);
    found = true;
  }
  return found;
}

bool SimRing::flush_backlog() {
  if (!cq_.has_backlog()) return true;
  const std::uint32_t tail = cq_.tail();
  const bool all = cq_.flush();
  if (cq_.tail() != tail) cq_changed_ = true;
  commit();
  return all;
}

/// Completions became visible: the registered eventfd is told, and timeouts that count completions are looked at.
void SimRing::commit() {
  while (cq_changed_) {
    signal_eventfd();
    cq_changed_ = false;
    if (has_counted_timeouts_) flush_counted_timeouts();
  }
}

void SimRing::signal_eventfd() {
  if (!eventfd_ || (eventfd_only_async_ && !in_worker_)) return;
  if (memory_.cq_flags() & IORING_CQ_EVENTFD_DISABLED) return;
  const std::uint64_t one = 1;
  // A counter at its limit stays readable, which is all that matters.
  static_cast<void>(!::write(eventfd_.get(), &one, sizeof one));
}

bool SimRing::readable() const {
  return cq_.waiting() > 0 || cq_.has_backlog() || !held_.empty() ||
         (has_flag(IORING_SETUP_DEFER_TASKRUN) && !task_work_.empty());
}

bool SimRing::update_doorbell() {
  const bool ring = readable();
  if (ring == doorbell_rung_ || !doorbell_) return false;
  std::uint64_t count = 1;
  if (ring) {
    static_cast<void>(!::write(doorbell_.get(), &count, sizeof count));
  } else {
    static_cast<void>(!::read(doorbell_.get(), &count, sizeof count));
  }
  doorbell_rung_ = ring;
  return ring;
}

}  // namespace assay::internal
