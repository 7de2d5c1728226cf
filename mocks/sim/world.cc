#include "assay/mocks/sim/world.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/futex.h"
#include "assay/mocks/sim/registration/query.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/setup.h"
#include "assay/mocks/sim/user_memory.h"
#include "assay/mocks/sim/visit.h"

namespace assay::internal {
namespace {

// How time goes by for a loop that spins while nothing happens: by a microsecond a spin, doubled every so many spins,
// up to some milliseconds.
constexpr unsigned kSpinsBeforeDoubling = 64;
constexpr unsigned kMostDoublings = 13;

}  // namespace

SimWorld::SimWorld(const SimOptions& options)
    : profile_(options.profile),
      version_(effective_version(profile_)),
      clock_(options.real_clock || options.live),
      strict_(options.strict),
      buffers_in_flight_(options.strict && options.watches_buffers ? std::make_unique<BuffersInFlight>() : nullptr),
      seeded_chooser_(options.seed),
      chooser_(options.chooser != nullptr ? options.chooser
               : options.seed != 0        ? &seeded_chooser_
                                          : nullptr) {
  if (!options.live) return;
  poke_ = Descriptor::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  service_ = std::make_unique<ServiceThread>(*this);
}

SimWorld::~SimWorld() { service_.reset(); }

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
  if (::fcntl(ring_fd, F_GETFD) < 0) return -EBADF;
  const auto inherited = inherited_fds_.find(ring_fd);
  return inherited != inherited_fds_.end() ? inherited->second : -EOPNOTSUPP;
}

void SimWorld::release(SimRing* ring) {
  if (!ring->drop_reference()) return;
  std::erase_if(rings_, [ring](const std::unique_ptr<SimRing>& other) { return other.get() == ring; });
}

int SimWorld::setup(unsigned entries, io_uring_params* params) {
  Visit visit(*this);
  io_uring_params filled;
  if (!copy_from_user(&filled, params, sizeof filled)) return -EFAULT;
  if (const int error = check_setup(*this, entries, filled); error != 0) return error;
  if (service_ != nullptr && service_->ensure_running() != 0) return -ENOMEM;
  auto ring = std::make_unique<SimRing>(*this, filled.flags);
  if (const int error = ring->open(filled); error != 0) return error;
  filled.features = profile_.features;
  if (!copy_to_user(params, &filled, sizeof filled)) return -EFAULT;
  worker_limits(filled.sq_entries);
  if (ring->has_flag(uapi::kSetupRegisteredFdOnly)) return setup_registered_only(std::move(ring));
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
  if (inherited_fds_.erase(ring_fd) != 0) return ::close(ring_fd) == 0 ? 0 : -errno;
  SimRing* ring = find(ring_fd);
  if (ring == nullptr) return -EBADF;
  by_fd_.erase(ring_fd);
  ring->close_fd();
  release(ring);
  return 0;
}

int SimWorld::now(clockid_t clock, timespec* time) {
  const std::lock_guard lock(mutex_.get());
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && clock != CLOCK_REALTIME) return -EINVAL;
  const Nanoseconds now = clock_.now(clock);
  time->tv_sec = now / 1'000'000'000;
  time->tv_nsec = now % 1'000'000'000;
  return 0;
}

void SimWorld::commit_sq_heads() {
  for (const auto& ring : rings_) ring->commit_sq_head();
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

void SimWorld::tell_watchers(bool in_call) {
  const auto ring_doorbells = [this] {
    bool rang = false;
    for (const auto& ring : rings_) rang |= ring->update_doorbell();
    return rang;
  };
  while (ring_doorbells() && rings_.size() > 1) step(in_call);
}

void SimWorld::forget_inherited() {
  fork_generation_ = fork_generation();
  // A ring of one issuer is none of a child's business in Linux either.
  for (const auto& [fd, ring] : by_fd_) inherited_fds_[fd] = ring->issuer() != 0 ? -EEXIST : -EOPNOTSUPP;
  by_fd_.clear();
  registered_rings_.clear();
  // Not taken down: that would disarm what the parent shares with us. What they hold goes with the process.
  for (auto& ring : rings_) static_cast<void>(ring.release());
  rings_.clear();
  // No other thread came along; this one is inside.
  inside_ = 1;
  waiting_ = 0;
  wait_deadlines_.clear();
  sleepers_.clear();
  spare_wakers_.clear();
  if (poke_) poke_ = Descriptor::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
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
  ring->let_go_held();
  commit_sq_heads();
  step(true);

  int submitted = 0;
  if (PollThread* const poll_thread = ring->poll_thread(); poll_thread != nullptr) {
    if (flags & IORING_ENTER_SQ_WAKEUP) poll_thread->wake();
    ring->run_poll_thread();
    submitted = static_cast<int>(to_submit);
    constexpr std::uint32_t kOverwritten = IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAIT;
    if (submitted == 0 && !(flags & kOverwritten) && profile_.semantics.sqpoll_eownerdead) return -EOWNERDEAD;
  } else if (to_submit > 0) {
    submitted = ring->submit(to_submit);
    if (submitted < 0) return submitted;
    // What submission left behind runs on the way out.
    if (!ring->has_flag(IORING_SETUP_DEFER_TASKRUN)) ring->run_task_work();
    if (static_cast<unsigned>(submitted) != to_submit && !profile_.semantics.under_submission_waits) return submitted;
  }
  if (!(flags & IORING_ENTER_GETEVENTS)) return submitted;

  Wait wait;
  Nanoseconds min_wait = 0;
  int waited = parse_wait(*ring, flags, arg, arg_bytes, &wait, &min_wait);
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
  if (ring_fd == -1 && !registered && profile_.register_ops[uapi::kRegisterSendMsgRing]) {
    return register_without_ring(opcode, arg, nr_args);
  }
  SimRing* ring;
  if (const int error = locate(ring_fd, registered, &ring); error != 0) return error;
  const Visit::Use use(visit, *ring);
  step(true);
  const bool of_thread = opcode == IORING_REGISTER_RING_FDS || opcode == IORING_UNREGISTER_RING_FDS;
  if (!of_thread || !profile_.register_ops[opcode]) {
    while (ring->must_wait_to_register(opcode) && ring->may_register(opcode) == 0) {
      if (const int error = sleep(visit, Wait{}); error != 0) return error;
      step(true);
    }
    return ring->register_op(opcode, arg, nr_args);
  }
  // These belong to the thread rather than the ring; but it is the ring that may forbid them.
  if (const int error = ring->may_register(opcode); error != 0) return error;
  return opcode == IORING_REGISTER_RING_FDS ? register_ring_fds(arg, nr_args) : unregister_ring_fds(arg, nr_args);
}

/// Since 6.13 an fd of -1 means no ring, for what needs none.
int SimWorld::register_without_ring(unsigned opcode, void* arg, unsigned nr_args) {
  if (opcode >= 256 || !profile_.register_ops[opcode]) return -EINVAL;
  switch (opcode) {
    case uapi::kRegisterSendMsgRing:
      return send_message(arg, nr_args);
    case uapi::kRegisterQuery:
      return answer_queries(profile_, arg, nr_args);
    default:
      return -EINVAL;
  }
}

WorkerLimits& SimWorld::worker_limits(unsigned sq_entries) {
  const auto [found, added] = worker_limits_.try_emplace(::gettid());
  if (added) found->second = WorkerLimits::initial(sq_entries);
  return found->second;
}

void SimWorld::relax(int ring_fd) {
  Visit visit(*this, false);
  if (find(ring_fd) == nullptr) return;
  commit_sq_heads();
  // A loop that spins while nothing can happen must see time go by, or it would never end.
  if (step(false)) {
    idle_spins_ = 0;
    return;
  }
  // It goes by faster the longer nothing happens, or waiting for a second would take a million spins.
  const unsigned doublings = std::min(idle_spins_++ / kSpinsBeforeDoubling, kMostDoublings);
  clock_.advance_to(clock_.now() + (Nanoseconds{1'000} << doublings));
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
  const std::lock_guard lock(mutex_.get());
  std::string text;
  for (const auto& ring : rings_) ring->describe_waiting(text);
  return text;
}

}  // namespace assay::internal
