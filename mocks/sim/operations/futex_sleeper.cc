#include "assay/mocks/sim/operations/futex_sleeper.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "assay/mocks/sim/unsignalled_thread.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {

#ifdef SYS_futex_waitv
constexpr long kFutexWaitv = SYS_futex_waitv;
#else
constexpr long kFutexWaitv = 449;
#endif
constexpr std::size_t kMostFutexes = 128;
constexpr std::uint32_t kSize32Bits = 2;
constexpr std::uint32_t kPrivate = 128;

long wait_for_any(const std::vector<futex_waitv>& entries) {
  const long result = ::syscall(kFutexWaitv, entries.data(), entries.size(), 0, nullptr, 0);
  return result < 0 ? -errno : result;
}

bool has_futex_waitv() {
  static const bool has = ::syscall(kFutexWaitv, nullptr, 0, 0, nullptr, 0) < 0 && errno != ENOSYS;
  return has;
}

/// Whether a thread of this process is asleep, as /proc tells; true where that cannot be known.
bool is_asleep(int thread_id) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_id);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  char text[256] = {};
  const ssize_t bytes = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  // The name, in parentheses, may hold anything; the state follows the last of them.
  const char* end = bytes > 0 ? std::strrchr(text, ')') : nullptr;
  return end == nullptr || end[1] == '\0' || end[2] == 'S';
}

}  // namespace

std::unique_ptr<FutexSleeper> FutexSleeper::start(SimWorld& world, const std::vector<FutexWord>& words) {
  if (words.size() >= kMostFutexes || !has_futex_waitv()) return nullptr;
  std::unique_ptr<FutexSleeper> sleeper(new FutexSleeper(world, words));
  sleeper->thread_ = start_unsignalled_thread([&sleeper = *sleeper] { sleeper.sleep(); });
  if (!sleeper->thread_.joinable()) return nullptr;
  sleeper->wait_until_queued();
  return sleeper;
}

FutexSleeper::FutexSleeper(SimWorld& world, const std::vector<FutexWord>& words) : world_(world), words_(words) {}

FutexSleeper::~FutexSleeper() {
  if (!thread_.joinable()) return;
  stop_.store(1);
  ::syscall(SYS_futex, &stop_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  thread_.join();
}

bool FutexSleeper::woken(std::int32_t* result) const {
  *result = result_.load(std::memory_order_acquire);
  return *result != kAsleep;
}

void FutexSleeper::sleep() {
  std::vector<futex_waitv> entries;
  for (const FutexWord& word : words_) {
    entries.push_back({word.value, word.address, kSize32Bits | (word.is_private ? kPrivate : 0), 0});
  }
  entries.push_back({0, reinterpret_cast<std::uint64_t>(&stop_), kSize32Bits | kPrivate, 0});
  thread_id_.store(::gettid());
  long result = wait_for_any(entries);
  if (result == static_cast<long>(words_.size()) || stop_.load() != 0) return;
  // A word changed between the request's look at it and ours: to the request that is a wake-up.
  if (result == -EAGAIN) {
    result = 0;
    for (std::size_t index = 0; index < words_.size(); ++index) {
      const auto* word = reinterpret_cast<const std::uint32_t*>(words_[index].address);
      if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != words_[index].value) result = static_cast<long>(index);
    }
  }
  result_.store(static_cast<std::int32_t>(result), std::memory_order_release);
  world_.poke();
}

void FutexSleeper::wait_until_queued() const {
  while (thread_id_.load() == 0) ::sched_yield();
  std::int32_t result;
  while (!woken(&result) && !is_asleep(thread_id_.load())) ::sched_yield();
}

}  // namespace assay::internal
