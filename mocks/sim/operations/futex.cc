// FUTEX_WAIT, FUTEX_WAKE and FUTEX_WAITV (6.7). Follows io_uring/futex.c.
//
// A stepped waiter is not in the kernel's queues, so only FUTEX_WAKE of a simulated ring can wake it, which wakes the
// kernel's waiters as well. What others change is noticed all the same: a waiter whose word no longer has its value
// goes on, as after a wake-up that had nothing to tell, but only where the simulator would otherwise sleep. A live one
// has a thread in the kernel's queues.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/futex.h"
#include "assay/mocks/sim/operations/futex_sleeper.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

// The flags of futex2: their kernel names are newer than the headers we build with.
constexpr std::uint32_t kSizeMask = 3;
constexpr std::uint32_t kSize32Bits = 2;
constexpr std::uint32_t kPrivate = 128;
constexpr std::uint32_t kMostFutexes = 128;  // FUTEX_WAITV_MAX

using Word = FutexWord;

struct WaitState : OperationState {
  std::vector<Word> words;
  std::uint32_t mask = ~0u;
  /// Live: who waits for it in the kernel.
  std::unique_ptr<FutexSleeper> sleeper;
};

WaitState& state_of(const Request& request) { return static_cast<WaitState&>(*request.state); }

bool fits_32_bits(std::uint64_t value) { return value <= UINT32_MAX; }

// Futexes of other sizes are refused by all kernels, those of NUMA nodes by us.
bool are_valid_flags(std::uint64_t flags) {
  return (flags & ~std::uint64_t{kSizeMask | kPrivate}) == 0 && (flags & kSizeMask) == kSize32Bits;
}

bool is_aligned(std::uint64_t address) { return address % sizeof(std::uint32_t) == 0; }

/// 0 where the word has its value, so that the waiter may sleep; else why it does not.
int check_word(const Word& word) {
  if (!is_aligned(word.address)) return -EINVAL;
  const auto* address = reinterpret_cast<const std::uint32_t*>(word.address);
  if (!is_user_memory(address, sizeof *address)) return -EFAULT;
  // Other threads change it meanwhile: that is what a futex is for.
  return __atomic_load_n(address, __ATOMIC_ACQUIRE) == word.value ? 0 : -EAGAIN;
}

Outcome wait(SimRing& ring, Request& request) {
  for (const Word& word : state_of(request).words) {
    if (!is_aligned(word.address)) return finish(ring, request, -EINVAL);
  }
  for (const Word& word : state_of(request).words) {
    if (const int error = check_word(word); error != 0) return finish(ring, request, error);
  }
  // A wake-up by mask finds only those whose mask it meets; who waits in the kernel for several words has none.
  WaitState& state = state_of(request);
  if (ring.world().live() && state.mask == ~0u) state.sleeper = FutexSleeper::start(ring.world(), state.words);
  ring.park_for_revisits(request);
  return Outcome::kParked;
}

int prepare_futex(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.len != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0 || sqe.file_index != 0) return -EINVAL;
  const auto flags = static_cast<std::uint32_t>(sqe.fd);
  if (!are_valid_flags(flags) || !fits_32_bits(sqe.addr2) || !fits_32_bits(sqe.addr3)) return -EINVAL;
  auto state = std::make_unique<WaitState>();
  state->words.push_back({sqe.addr, static_cast<std::uint32_t>(sqe.addr2), (flags & kPrivate) != 0});
  state->mask = static_cast<std::uint32_t>(sqe.addr3);
  request.state = std::move(state);
  return 0;
}

Outcome issue_futex_wait(SimRing& ring, Request& request) {
  return state_of(request).mask == 0 ? finish(ring, request, -EINVAL) : wait(ring, request);
}

Outcome issue_futex_wake(SimRing& ring, Request& request) {
  const WaitState& state = state_of(request);
  const Word& word = state.words.front();
  if (state.mask == 0 || !is_aligned(word.address)) return finish(ring, request, -EINVAL);
  const auto most = static_cast<int>(word.value);  // the kernel takes it for an int, too
  const int woken = ring.world().wake_futex({word.address, word.is_private, state.mask, most});
  if (woken >= most) return finish(ring, request, woken);
  const int flags = word.is_private ? FUTEX_PRIVATE_FLAG : 0;
  const long others =
      ::syscall(SYS_futex, word.address, FUTEX_WAKE_BITSET | flags, most - woken, nullptr, nullptr, state.mask);
  if (others < 0) return finish(ring, request, woken > 0 ? woken : -errno);
  return finish(ring, request, woken + others);
}

int prepare_futex_waitv(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const bool clean =
      sqe.fd == 0 && sqe.buf_index == 0 && sqe.file_index == 0 && sqe.addr2 == 0 && sqe.rw_flags == 0 && sqe.addr3 == 0;
  if (!clean || sqe.len == 0 || sqe.len > kMostFutexes) return -EINVAL;
  auto state = std::make_unique<WaitState>();
  for (std::uint32_t index = 0; index < sqe.len; ++index) {
    futex_waitv entry;
    if (!copy_from_user(&entry, sqe.addr + index * sizeof entry, sizeof entry)) return -EFAULT;
    if (!are_valid_flags(entry.flags) || entry.__reserved != 0 || !fits_32_bits(entry.val)) return -EINVAL;
    state->words.push_back({entry.uaddr, static_cast<std::uint32_t>(entry.val), (entry.flags & kPrivate) != 0});
  }
  request.state = std::move(state);
  return 0;
}

Outcome issue_futex_waitv(SimRing& ring, Request& request) { return wait(ring, request); }

bool revisit_futex(SimRing&, Request& request, bool before_sleep, std::int32_t* result) {
  const WaitState& state = state_of(request);
  if (state.sleeper != nullptr) return state.sleeper->woken(result);
  if (!before_sleep) return false;
  const std::vector<Word>& words = state.words;
  for (std::size_t index = 0; index < words.size(); ++index) {
    if (check_word(words[index]) == 0) continue;
    *result = static_cast<std::int32_t>(index);
    return true;
  }
  return false;
}

}  // namespace

int find_waiter(const Request& request, const FutexWake& wake) {
  if (request.opcode() != uapi::kOpFutexWait && request.opcode() != uapi::kOpFutexWaitv) return -1;
  const WaitState& state = state_of(request);
  if (state.sleeper != nullptr || (state.mask & wake.mask) == 0) return -1;
  for (std::size_t index = 0; index < state.words.size(); ++index) {
    const Word& word = state.words[index];
    if (word.address == wake.address && word.is_private == wake.is_private) return static_cast<int>(index);
  }
  return -1;
}

extern const Operation kFutexWait = {.prepare = prepare_futex, .issue = issue_futex_wait, .revisit = revisit_futex};
extern const Operation kFutexWake = {.prepare = prepare_futex, .issue = issue_futex_wake};
extern const Operation kFutexWaitv = {
    .prepare = prepare_futex_waitv, .issue = issue_futex_waitv, .revisit = revisit_futex};

}  // namespace assay::internal
