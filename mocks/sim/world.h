#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/chooser.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim/buffers_in_flight.h"
#include "assay/mocks/sim/clock.h"
#include "assay/mocks/sim/descriptor.h"
#include "assay/mocks/sim/fork.h"
#include "assay/mocks/sim/locked_memory.h"
#include "assay/mocks/sim/registration/workers.h"
#include "assay/mocks/sim/service_thread.h"
#include "assay/mocks/sim_kernel.h"

namespace assay::internal {

class SimRing;
struct FutexWake;

/// What the rings of one SimKernel share: the profile, the clock, the choices, the lock, and waiting.
///
/// Everything but the calls themselves runs under the lock. Threads that wait release it.
class SimWorld {
 public:
  explicit SimWorld(const SimOptions& options);
  ~SimWorld();

  // The calls of Kernel.
  int setup(unsigned entries, io_uring_params* params);
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes);
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args);
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address);
  int close(int ring_fd);
  int now(clockid_t clock, timespec* time);
  int wait_readable(int ring_fd, const timespec* timeout);
  void relax(int ring_fd);
  std::string describe_waiting();

  // For its parts.
  const Profile& profile() const { return profile_; }
  const Semantics& semantics() const { return profile_.semantics; }
  SimClock& clock() { return clock_; }
  bool strict() const { return strict_; }
  bool live() const { return service_ != nullptr; }
  /// Strict mode's watch over the buffers of requests in flight, or null.
  BuffersInFlight* buffers_in_flight() { return buffers_in_flight_.get(); }
  bool has_feature(std::uint32_t feature) const { return (profile_.features & feature) != 0; }
  /// The release whose io_uring this is: for what no switch and no bit tells, such as the flags of an argument.
  KernelVersion version() const { return version_; }
  bool is_since(int major, int minor) const { return version_ >= KernelVersion{major, minor}; }
  /// Asks the Chooser, if there is one; otherwise what is usual.
  std::uint64_t choose(ChoicePoint point, std::uint64_t limit, const io_uring_sqe* sqe) {
    if (chooser_ != nullptr) return ask(point, limit, sqe);
    return point == ChoicePoint::kTransferLength ? limit : 0;
  }
  bool has_chooser() const { return chooser_ != nullptr; }
  std::uint64_t next_serial() { return ++serial_; }
  /// The ring whose own fd this is, or null.
  SimRing* find(int ring_fd);
  /// The ring that a call means, by its fd or by the index at which this thread registered it. 0, or the errno for what
  /// is no ring.
  int locate(int ring_fd, bool registered, SimRing** ring);
  /// The limits of the calling thread's workers; its first ring, of so many entries, makes them.
  WorkerLimits& worker_limits(unsigned sq_entries);
  LockedMemory& locked_memory() { return locked_memory_; }
  /// Wakes waiters of a futex on all rings. Returns how many.
  int wake_futex(FutexWake wake);

  // For the service thread (serve.cc).

  /// What it does until `stop_serving`: goes on with whatever can go on, and sleeps while nothing can.
  void serve();
  void stop_serving();
  /// Makes the service thread look again. Callable on any thread, without the lock.
  void poke();

 private:
  class Visit;

  /// What ends a wait besides completions.
  struct Wait {
    Nanoseconds deadline = kNever;
    const sigset_t* mask = nullptr;  // the kernel's: 8 bytes
  };
  /// The registered rings of one thread (IORING_REGISTER_RING_FDS).
  using RegisteredRings = std::array<SimRing*, 16>;

  std::uint64_t ask(ChoicePoint point, std::uint64_t limit, const io_uring_sqe* sqe);
  int register_without_ring(unsigned opcode, void* arg, unsigned nr_args);
  int send_message(const void* arg, unsigned nr_args);
  int setup_registered_only(std::unique_ptr<SimRing> ring);
  int register_ring_fds(void* arg, unsigned nr_args);
  int unregister_ring_fds(void* arg, unsigned nr_args);
  /// In a child process, once: leaves the rings to the parent.
  void forget_inherited();
  /// Drops a reference to a ring and takes it down with the last.
  void release(SimRing* ring);
  /// Gives every ring what can go on now. `in_call` is whether the thread makes a system call, as opposed to spinning.
  bool step(bool in_call);
  /// Makes the rings' fds readable, or not; rings that watch those of others go on.
  void tell_watchers(bool in_call);
  int parse_wait(const SimRing& ring, unsigned flags, const void* arg, std::size_t arg_bytes, Wait* wait,
                 Nanoseconds* min_wait);
  int parse_registered_wait(const SimRing& ring, unsigned flags, const void* arg, std::size_t arg_bytes, Wait* wait,
                            Nanoseconds* min_wait);
  int parse_mask(std::uint64_t address, std::size_t bytes, Wait* wait);
  int wait_for_completions(Visit& visit, SimRing& ring, unsigned min_complete, const Wait& wait, Nanoseconds min_wait);
  /// Before time passes: lets those go on that wait for what nobody tells. Returns whether any did.
  bool revisit_all();
  /// Lets time pass, or others in, until something may have changed. 0, -EINTR or -EDEADLK.
  int sleep(Visit& visit, const Wait& wait);
  int sleep_virtual(Visit& visit, const Wait& wait);
  int sleep_real(std::unique_lock<std::mutex>& lock, const Wait& wait, int other_fd = -1);
  bool has_spinning_poll_thread() const;
  void commit_sq_heads();
  Nanoseconds next_deadline() const;
  void wake_sleepers();

  Profile profile_;
  KernelVersion version_;
  SimClock clock_;
  unsigned idle_spins_ = 0;  // calls of `relax` in a row that found nothing to do
  bool strict_;
  std::unique_ptr<BuffersInFlight> buffers_in_flight_;
  SeededChooser seeded_chooser_;
  Chooser* chooser_;
  std::uint64_t serial_ = 0;

  ForkSafeMutex mutex_;
  /// Where it differs from what it is now, all rings are those of a parent process.
  std::uint64_t fork_generation_ = fork_generation();
  /// fds of rings that this process inherited and cannot use, and what using them answers.
  std::map<int, int> inherited_fds_;
  LockedMemory locked_memory_;
  std::map<int, SimRing*> by_fd_;
  std::vector<std::unique_ptr<SimRing>> rings_;  // in order of creation
  std::map<pid_t, RegisteredRings> registered_rings_;
  std::map<pid_t, WorkerLimits> worker_limits_;

  /// Threads between the beginning and the end of a call.
  std::atomic<unsigned> inside_{0};
  // Virtual time: threads that wait for others, and the count of the times that they were sent on.
  unsigned waiting_ = 0;
  std::uint64_t epoch_ = 0;
  std::condition_variable changed_;
  std::multiset<Nanoseconds> wait_deadlines_;
  // Real time: an eventfd for each thread in ppoll, and those that no thread uses at the moment.
  std::vector<int> sleepers_;
  std::vector<Descriptor> spare_wakers_;

  // Live: the thread that serves, which an eventfd wakes as well.
  bool stops_serving_ = false;
  Descriptor poke_;
  std::unique_ptr<ServiceThread> service_;
};

}  // namespace assay::internal
