#include "assay/mocks/sim/world.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/futex.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/setup.h"
#include "assay/mocks/sim/user_memory.h"
#include "assay/mocks/sim/visit.h"

namespace assay::internal {

SimWorld::SimWorld(const SimOptions& options)
    : profile_(options.profile),
      behaviour_(profile_),
      clock_(options.real_clock),
      strict_(options.strict),
      seeded_chooser_(options.seed),
      chooser_(options.chooser != nullptr ? options.chooser
               : options.seed != 0        ? &seeded_chooser_
                                          : nullptr) {}

SimWorld::~SimWorld() = default;

std::uint64_t SimWorld::ask(ChoicePoint point, std::uint64_t limit, const io_uring_sqe* sqe) {
  const std::uint64_t answer = chooser_->choose({point, limit, sqe});
  switch (point) {
    case ChoicePoint::kTransferLength:
      return std::clamp<std::uint64_t>(answer, 1, limit);
    case ChoicePoint::kResultError:
      return answer < limit ? answer : 0;
    default:
      return answer < limit ? answer : 0;
  }
}

SimRing* SimWorld::find(int ring_fd) {
  const auto found = by_fd_.find(ring_fd);
  return found == by_fd_.end() ? nullptr : found->second;
}

int SimWorld::locate(int ring_fd, bool registered, SimRing** ring) {
  if (registered) {
    // A thread has its table from its first ring on.
    const auto table = registered_rings_.find(::gettid());
    if (table == registered_rings_.end() || static_cast<unsigned>(ring_fd) >= table->second.size()) return -EINVAL;
    *ring = table->second[static_cast<unsigned>(ring_fd)];
    return *ring == nullptr ? -EBADF : 0;
  }
  *ring = find(ring_fd);
  if (*ring != nullptr) return 0;
  return ::fcntl(ring_fd, F_GETFD) < 0 ? -EBADF : -EOPNOTSUPP;
}

void SimWorld::release(SimRing* ring) {
  if (!ring->drop_reference()) return;
  std::erase_if(rings_, [ring](const std::unique_ptr<SimRing>& other) { return other.get() == ring; });
}

int SimWorld::setup(unsigned entries, io_uring_params* params) {
  Visit visit(*this);
  if (!is_user_memory(params, sizeof *params)) return -EFAULT;
  io_uring_params filled = *params;
  if (const int error = check_setup(*this, entries, filled); error != 0) return error;
  auto ring = std::make_unique<SimRing>(*this, filled.flags);
  if (const int error = ring->open(filled); error != 0) return error;
  filled.features = profile_.features;
  *params = filled;
  const int fd = ring->fd();
  by_fd_[fd] = ring.get();
  rings_.push_back(std::move(ring));
  registered_rings_.try_emplace(::gettid(), RegisteredRings{});
  return fd;
}

int SimWorld::map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) {
  Visit visit(*this);
  SimRing* ring = find(ring_fd);
  if (ring == nullptr) return ::fcntl(ring_fd, F_GETFD) < 0 ? -EBADF : -ENODEV;
  return ring->map(offset, bytes, address);
}

int SimWorld::close(int ring_fd) {
  Visit visit(*this);
  SimRing* ring = find(ring_fd);
  if (ring == nullptr) return -EBADF;
  by_fd_.erase(ring_fd);
  ring->close_fd();
  release(ring);
  return 0;
}

int SimWorld::now(clockid_t clock, timespec* time) {
  const std::lock_guard lock(mutex_);
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && clock != CLOCK_REALTIME) return -EINVAL;
  const Nanoseconds now = clock_.now(clock);
  time->tv_sec = now / 1'000'000'000;
  time->tv_nsec = now % 1'000'000'000;
  return 0;
}

bool SimWorld::step(bool in_call) {
  bool moved = false;
  for (std::size_t index = 0; index < rings_.size(); ++index) {
    SimRing& ring = *rings_[index];
    moved |= ring.run_poll_thread();
    moved |= ring.collect();
    moved |= ring.run_workers();
    // Task work runs when its thread next passes the kernel's boundary. A signal sends it there at once, unless the
    // ring is cooperative; deferred task work waits for enter(GETEVENTS).
    const bool may_run = !ring.has_flag(IORING_SETUP_DEFER_TASKRUN) &&
                         (in_call || !ring.has_flag(IORING_SETUP_COOP_TASKRUN)) && !ring.disabled();
    if (may_run) moved |= ring.run_task_work();
  }
  return moved;
}

int SimWorld::enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                    std::size_t arg_bytes) {
  Visit visit(*this);
  if (flags & ~(profile_.enter_flags & kModelledEnterFlags)) return -EINVAL;
  SimRing* ring;
  if (const int error = locate(ring_fd, (flags & IORING_ENTER_REGISTERED_RING) != 0, &ring); error != 0) return error;
  if (ring->disabled()) return -EBADFD;
  const Visit::Use use(visit, *ring);
  if (strict_) ring->cq().scribble_passed();
  step(true);

  int submitted = 0;
  if (ring->poll_thread()) {
    if (flags & IORING_ENTER_SQ_WAKEUP) ring->wake_poll_thread();
    ring->run_poll_thread();
    submitted = static_cast<int>(to_submit);
  } else if (to_submit > 0) {
    submitted = ring->submit(to_submit);
    if (submitted < 0) return submitted;
    // What submission left behind runs on the way out.
    if (!ring->has_flag(IORING_SETUP_DEFER_TASKRUN)) ring->run_task_work();
    if (static_cast<unsigned>(submitted) != to_submit && !behaviour_.under_submission_waits) return submitted;
  }
  if (!(flags & IORING_ENTER_GETEVENTS)) return submitted;

  Wait wait;
  Nanoseconds min_wait = 0;
  int waited = parse_wait(flags, arg, arg_bytes, &wait, &min_wait);
  if (waited == 0) waited = wait_for_completions(visit, *ring, min_complete, wait, min_wait);
  if (submitted > 0) return submitted;
  if (waited == -EBADR) ring->cq().forget_dropped();
  return waited;
}

int SimWorld::register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) {
  Visit visit(*this);
  const bool registered = (opcode & uapi::kRegisterUseRegisteredRing) != 0;
  opcode &= ~uapi::kRegisterUseRegisteredRing;
  if (registered && !has_feature(uapi::kFeatRegRegRing)) return -EINVAL;
  // Since 6.13 an fd of -1 means no ring, for operations that need none; there is none of those here.
  if (ring_fd == -1 && !registered && profile_.register_ops[uapi::kRegisterSendMsgRing]) return -EINVAL;
  SimRing* ring;
  if (const int error = locate(ring_fd, registered, &ring); error != 0) return error;
  const Visit::Use use(visit, *ring);
  step(true);
  if (opcode < 256 && profile_.register_ops[opcode]) {
    // These belong to the thread rather than the ring.
    if (opcode == IORING_REGISTER_RING_FDS) return register_ring_fds(arg, nr_args);
    if (opcode == IORING_UNREGISTER_RING_FDS) return unregister_ring_fds(arg, nr_args);
  }
  return ring->register_op(opcode, arg, nr_args);
}

int SimWorld::register_ring_fds(void* arg, unsigned nr_args) {
  RegisteredRings& table = registered_rings_.try_emplace(::gettid(), RegisteredRings{}).first->second;
  if (nr_args == 0 || nr_args > table.size()) return -EINVAL;
  if (!is_user_memory(arg, nr_args * sizeof(io_uring_rsrc_update))) return -EFAULT;
  auto* updates = static_cast<io_uring_rsrc_update*>(arg);
  int done = 0;
  for (unsigned index = 0; index < nr_args; ++index, ++done) {
    io_uring_rsrc_update& update = updates[index];
    int error = 0;
    if (update.resv != 0) error = -EINVAL;
    std::size_t slot = update.offset;
    if (error == 0 && update.offset == ~0u) {
      slot = static_cast<std::size_t>(std::find(table.begin(), table.end(), nullptr) - table.begin());
      if (slot == table.size()) error = -EBUSY;
    } else if (error == 0 && update.offset >= table.size()) {
      error = -EINVAL;
    } else if (error == 0 && table[slot] != nullptr) {
      error = -EBUSY;
    }
    SimRing* ring = nullptr;
    if (error == 0) error = locate(static_cast<int>(update.data), false, &ring);
    if (error != 0) return done > 0 ? done : error;
    ring->add_reference();
    table[slot] = ring;
    update.offset = static_cast<std::uint32_t>(slot);
  }
  return done;
}

int SimWorld::unregister_ring_fds(void* arg, unsigned nr_args) {
  const auto found = registered_rings_.find(::gettid());
  if (nr_args == 0 || nr_args > RegisteredRings{}.size()) return -EINVAL;
  if (found == registered_rings_.end()) return 0;
  if (!is_user_memory(arg, nr_args * sizeof(io_uring_rsrc_update))) return -EFAULT;
  const auto* updates = static_cast<const io_uring_rsrc_update*>(arg);
  int done = 0;
  for (unsigned index = 0; index < nr_args; ++index, ++done) {
    const io_uring_rsrc_update& update = updates[index];
    if (update.resv != 0 || update.data != 0 || update.offset >= found->second.size()) return done > 0 ? done : -EINVAL;
    SimRing*& slot = found->second[update.offset];
    if (slot != nullptr) release(std::exchange(slot, nullptr));
  }
  return done;
}

void SimWorld::relax(int ring_fd) {
  Visit visit(*this);
  if (find(ring_fd) == nullptr) return;
  // A loop that spins while nothing can happen must see time go by, or it would never end.
  if (!step(false)) clock_.advance_to(clock_.now() + 1'000);
}

int SimWorld::wake_futex(FutexWake wake) {
  int woken = 0;
  for (const auto& ring : rings_) {
    const int more = ring->wake_futex(wake);
    woken += more;
    wake.count -= more;
  }
  return woken;
}

std::string SimWorld::describe_waiting() {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& ring : rings_) ring->describe_waiting(text);
  return text;
}

}  // namespace assay::internal
