#include "assay/faultinject/ledger.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/trace_text.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

// How much of a user_data's history a violation shows: its latest events.
constexpr std::size_t kHistoryShown = 12;
// How many of a ring's requests are told of when it is left; the others are counted.
constexpr std::size_t kRequestsShown = 3;

// A cancelation may overlook a request once; one that is denied more often cannot be ended by anybody.
constexpr unsigned kDenialsToIgnore = 1;

// Whether the kernel may write to the program's memory, or read it, until the request ends. Paths, addresses to connect
// to and times are copied when it is submitted.
bool uses_memory_until_its_end(const io_uring_sqe& sqe) {
  switch (sqe.opcode) {
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_WRITE_FIXED:
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case IORING_OP_STATX:
    case uapi::kOpReadMultishot:
    case uapi::kOpFutexWait:
    case uapi::kOpFutexWaitv:
    case uapi::kOpWaitid:
      return true;
    case IORING_OP_ACCEPT:
      return sqe.addr != 0;
    default:
      return false;
  }
}

// Whether enter answers so whatever one does: not for what passes, or is over once it was told.
bool is_final(int result) {
  switch (-result) {
    case EINTR:
    case EAGAIN:
    case EBUSY:
    case EBADR:
    case ETIME:
      return false;
    default:
      return result < 0;
  }
}

std::chrono::nanoseconds monotonic_time(Kernel& kernel) {
  timespec time{};
  kernel.now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

}  // namespace

LedgerKernel::LedgerKernel(Kernel& base, LedgerOptions options)
    : base_(base), options_(std::move(options)), last_time_(monotonic_time(base)), progress_time_(last_time_) {}

LedgerKernel::~LedgerKernel() = default;

// ---- The book

std::string LedgerKernel::words_of(std::uint64_t number) const {
  TraceNames names;
  return trace_sqe(taken_[number - 1], names);
}

std::string LedgerKernel::text_of(const Seen& seen) const {
  const io_uring_cqe cqe{.user_data = seen.user_data, .res = seen.res, .flags = seen.flags};
  TraceNames names;
  switch (seen.kind) {
    case Seen::Kind::kTaken:
      return "taken as request " + std::to_string(seen.number) + ": " + words_of(seen.number);
    case Seen::Kind::kCompleted:
      return "completion of request " + std::to_string(seen.number) + ": " + trace_cqe(cqe, names);
    case Seen::Kind::kUnasked:
      return "completion that no request in flight asked for: " + trace_cqe(cqe, names);
  }
  return {};
}

std::string LedgerKernel::history(std::uint64_t user_data) const {
  std::vector<const Seen*> events;
  for (const Seen& seen : seen_) {
    if (seen.user_data == user_data) events.push_back(&seen);
  }
  std::string text;
  const std::size_t first = events.size() > kHistoryShown ? events.size() - kHistoryShown : 0;
  if (first != 0) text += "\n    (" + std::to_string(first) + " earlier ones left out)";
  for (std::size_t i = first; i < events.size(); ++i) text += "\n    " + text_of(*events[i]);
  return text;
}

void LedgerKernel::violation(const std::string& breach) { report_.violations.push_back(breach); }

void LedgerKernel::violation(const std::string& breach, const Request& request) {
  report_.violations.push_back(breach + "\n  request " + std::to_string(request.number) + ": " +
                               words_of(request.number) +
                               "\n  its user_data:" + history(taken_[request.number - 1].user_data));
}

void LedgerKernel::took(Ring& ring, const io_uring_sqe& sqe) {
  const std::uint64_t number = ++report_.requests;
  taken_.push_back(sqe);
  seen_.push_back({Seen::Kind::kTaken, sqe.user_data, number, 0, 0});
  ring.in_flight.emplace(sqe.user_data, Request{.number = number, .completions = 0});
  ++progress_;
}

// A poll thread gives a batch of SQEs back when it is through with it, and the first completions are there before.
void LedgerKernel::takes_ahead(Ring& ring, std::uint64_t user_data) {
  const std::uint32_t first = ring.sq_taken - ring.offered_from;
  std::uint32_t index = first;
  while (index < ring.offered.size() && ring.offered[index].user_data != user_data) ++index;
  if (index >= ring.offered.size()) return;
  for (std::uint32_t ahead = first; ahead <= index; ++ahead) took(ring, ring.offered[ahead]);
  ring.sq_taken = ring.offered_from + index + 1;
}

void LedgerKernel::posted(Ring& ring, const io_uring_cqe& cqe) {
  ++progress_;
  auto request = ring.in_flight.find(cqe.user_data);
  if (request == ring.in_flight.end() && (ring.setup_flags() & IORING_SETUP_SQPOLL) != 0) {
    takes_ahead(ring, cqe.user_data);
    request = ring.in_flight.find(cqe.user_data);
  }
  if (request == ring.in_flight.end()) {
    ++report_.unasked;
    seen_.push_back({Seen::Kind::kUnasked, cqe.user_data, 0, cqe.res, cqe.flags});
    return;
  }
  ++report_.completions;
  ++request->second.completions;
  seen_.push_back({Seen::Kind::kCompleted, cqe.user_data, request->second.number, cqe.res, cqe.flags});
  const io_uring_sqe& sqe = taken_[request->second.number - 1];
  if (sqe.opcode == IORING_OP_ASYNC_CANCEL && cqe.res == -ENOENT) {
    const auto target = ring.in_flight.find(sqe.addr);
    if (target != ring.in_flight.end()) ++target->second.denied;
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) ring.in_flight.erase(request);
}

// ---- Looking at ring memory

void LedgerKernel::look_at_sq(Ring& ring) {
  const std::uint32_t head = ring.sq_head();
  const std::uint32_t tail = ring.sq_tail();
  // It may be ahead of the head (see takes_ahead).
  for (; static_cast<std::int32_t>(head - ring.sq_taken) > 0; ++ring.sq_taken) {
    const std::uint32_t index = ring.sq_taken - ring.offered_from;
    if (index < ring.offered.size()) {
      took(ring, ring.offered[index]);
    } else {
      ++report_.unseen;
    }
  }
  ring.offered.clear();
  ring.offered_from = head;
  if (tail - head > ring.sq_entries()) {
    if (!std::exchange(ring.overran_sq, true)) {
      violation("the SQ's tail is " + std::to_string(tail - head) + " ahead of its head, of " +
                std::to_string(ring.sq_entries()) + " entries: SQEs were overwritten before the kernel took them");
    }
    return;
  }
  for (std::uint32_t position = head; position != tail; ++position) {
    const io_uring_sqe* sqe = ring.sqe_at(position);
    ring.offered.push_back(sqe != nullptr ? *sqe : io_uring_sqe{});
  }
}

void LedgerKernel::look_at_cq(Ring& ring) {
  const std::uint32_t head = ring.cq_head();
  const std::uint32_t tail = ring.cq_tail();
  if (head != ring.cq_reaped) {
    ring.cq_reaped = head;
    ++progress_;
  }
  if (static_cast<std::int32_t>(tail - head) < 0 && !std::exchange(ring.overran_cq, true)) {
    violation("the CQ's head is " + std::to_string(head - tail) +
              " ahead of its tail: completions were reaped that are none");
  }
  if (tail - ring.cq_seen > ring.cq_entries()) {
    report_.unseen += tail - ring.cq_seen - ring.cq_entries();
    ring.cq_seen = tail - ring.cq_entries();
  }
  for (; ring.cq_seen != tail; ++ring.cq_seen) {
    const io_uring_cqe& cqe = *ring.cqe_at(ring.cq_seen);
    if ((cqe.flags & uapi::kCqeFSkip) != 0) continue;
    posted(ring, cqe);
    // In a CQ of mixed sizes (6.18) a large entry takes two places.
    const bool large = (ring.setup_flags() & uapi::kSetupCqeMixed) != 0 && (cqe.flags & uapi::kCqeF32) != 0;
    if (large && ring.cq_seen + 1 != tail) ++ring.cq_seen;
  }
  const std::uint32_t overflow = ring.cq_overflow();
  if (overflow != ring.dropped) {
    report_.dropped += overflow - ring.dropped;
    ring.dropped = overflow;
    ++progress_;
  }
}

void LedgerKernel::look(Ring& ring) {
  if (ring.left) return;
  if (ring.sq_visible()) look_at_sq(ring);
  if (ring.cq_visible()) look_at_cq(ring);
}

// The program is done with the ring: what is in flight by now is never heard of again.
void LedgerKernel::leaves(Ring& ring) {
  look(ring);
  if (std::exchange(ring.left, true)) return;
  // Who cannot cancel what is left after drops cannot await it either, and it may come at any moment.
  const bool may_be_late = ring.told_of_drops && !options_.can_cancel;
  const bool reaped_what_is_there = !ring.overran_cq && ring.cq_visible() && !may_be_late;
  if (reaped_what_is_there) {
    for (std::uint32_t position = ring.cq_head(); position != ring.cq_tail(); ++position) {
      const io_uring_cqe& cqe = *ring.cqe_at(position);
      // Of a wait's own timeout, before 5.11, which liburing and Ring pass over: the program never sees it.
      if (cqe.user_data == uapi::kUserDataTimeout) continue;
      const bool asked_for = std::any_of(seen_.begin(), seen_.end(), [&](const Seen& seen) {
        return seen.user_data == cqe.user_data && seen.kind == Seen::Kind::kTaken;
      });
      if (!asked_for) continue;
      violation("the ring is left with a completion that was never reaped: res=" + trace_result(cqe.res) +
                "\n  its user_data:" + history(cqe.user_data));
    }
  }
  if (!options_.can_cancel || ring.refuses_to_be_entered) return;
  // Whose completions were dropped nobody can know; the kernel counts them.
  std::vector<const Request*> left;
  for (const auto& [user_data, request] : ring.in_flight) {
    if (request.denied > kDenialsToIgnore) continue;
    if (uses_memory_until_its_end(taken_[request.number - 1])) left.push_back(&request);
  }
  const std::size_t excused = report_.unseen + ring.dropped;
  if (left.size() <= excused) return;
  std::sort(left.begin(), left.end(), [](const Request* a, const Request* b) { return a->number < b->number; });
  for (std::size_t i = 0; i < left.size() && i < kRequestsShown; ++i) {
    violation("the ring is left while a request is in flight whose memory the kernel may still use (" +
                  std::to_string(left.size()) + " in all)",
              *left[i]);
  }
}

// ---- Progress

void LedgerKernel::stuck(const std::string& why) {
  is_stuck_ = true;
  if (options_.when_stuck) {
    options_.when_stuck(why);
  } else {
    std::fprintf(stderr, "assay: %s\n", why.c_str());
    std::abort();
  }
}

void LedgerKernel::watch_progress() {
  ++report_.calls;
  const std::chrono::nanoseconds time = monotonic_time(base_);
  if (progress_ != last_progress_) {
    last_progress_ = progress_;
    progress_time_ = last_time_ = time;
    idle_calls_ = 0;
    return;
  }
  if (is_stuck_) return;
  if (time - progress_time_ > options_.idle_time) {
    return stuck("for " + std::to_string((time - progress_time_) / 1s) +
                 " seconds of the kernel's clock no request was taken and no completion was posted or reaped");
  }
  if (std::exchange(last_time_, time) != time) {
    idle_calls_ = 0;
  } else if (++idle_calls_ > options_.idle_calls) {
    stuck("it spins: " + std::to_string(idle_calls_) +
          " calls in a row took no request, brought no completion and let no time pass");
  }
}

int LedgerKernel::called(Ring* ring, int result) {
  const std::lock_guard lock(mutex_);
  if (ring != nullptr) look(*ring);
  watch_progress();
  return result;
}

// ---- Calls

int LedgerKernel::setup(unsigned entries, io_uring_params* params) {
  const int ring_fd = base_.setup(entries, params);
  const std::lock_guard lock(mutex_);
  if (ring_fd >= 0) {
    open_.push_back(rings_.was_set_up(ring_fd, *params));
    ++progress_;
  }
  watch_progress();
  return ring_fd;
}

int LedgerKernel::enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                        std::size_t arg_bytes) {
  const std::shared_ptr<Ring> ring = rings_.find(ring_fd, (flags & IORING_ENTER_REGISTERED_RING) != 0);
  if (ring != nullptr) {
    const std::lock_guard lock(mutex_);
    look(*ring);
  }
  const int result = base_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  if (result == -EDEADLK) {
    const std::lock_guard lock(mutex_);
    if (!is_stuck_) stuck("it waits for completions that never come");
  }
  if (ring != nullptr) {
    const std::lock_guard lock(mutex_);
    ring->refuses_to_be_entered = is_final(result);
    ring->told_of_drops |= result == -EBADR;
  }
  return called(ring.get(), result);
}

int LedgerKernel::register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) {
  const std::shared_ptr<Ring> ring = rings_.find(ring_fd, (opcode & uapi::kRegisterUseRegisteredRing) != 0);
  if (ring != nullptr) {
    const std::lock_guard lock(mutex_);
    look(*ring);
  }
  const int result = base_.register_op(ring_fd, opcode, arg, nr_args);
  rings_.was_registered(ring_fd, opcode, arg, nr_args, result);
  return called(ring.get(), result);
}

int LedgerKernel::map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) {
  const int result = base_.map(ring_fd, offset, bytes, address);
  if (result == 0) {
    rings_.was_mapped(ring_fd, offset, *address);
    const std::lock_guard lock(mutex_);
    mapped_.emplace(*address, bytes);
  }
  return called(nullptr, result);
}

int LedgerKernel::unmap(void* address, std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    for (const std::shared_ptr<Ring>& ring : open_) {
      if (ring->lies_in(address)) leaves(*ring);
    }
    const auto known = mapped_.find(address);
    if (known == mapped_.end()) {
      violation("memory is unmapped that is not mapped");
    } else if (known->second != bytes) {
      violation("of " + std::to_string(known->second) + " bytes that were mapped " + std::to_string(bytes) +
                " are unmapped");
    }
    mapped_.erase(address);
  }
  // Forgotten first: once the memory is given back, another thread may be given the same address.
  rings_.was_unmapped(address);
  return base_.unmap(address, bytes);
}

int LedgerKernel::close(int ring_fd) {
  {
    const std::lock_guard lock(mutex_);
    const std::shared_ptr<Ring> ring = rings_.find(ring_fd, false);
    if (ring != nullptr) {
      leaves(*ring);
      std::erase(open_, ring);
    } else {
      violation("a ring's descriptor is closed that is not open");
    }
  }
  rings_.was_closed(ring_fd);
  return base_.close(ring_fd);
}

int LedgerKernel::wait_readable(int ring_fd, const timespec* timeout) {
  const std::shared_ptr<Ring> ring = rings_.find(ring_fd, false);
  if (ring != nullptr) {
    const std::lock_guard lock(mutex_);
    look(*ring);
  }
  const int result = base_.wait_readable(ring_fd, timeout);
  if (result == -EDEADLK) {
    const std::lock_guard lock(mutex_);
    if (!is_stuck_) stuck("it waits for a ring to become readable that never does");
  }
  return called(ring.get(), result);
}

void LedgerKernel::relax(int ring_fd) {
  const std::shared_ptr<Ring> ring = rings_.find(ring_fd, false);
  if (ring != nullptr) {
    const std::lock_guard lock(mutex_);
    look(*ring);
  }
  base_.relax(ring_fd);
  called(ring.get(), 0);
}

LedgerReport LedgerKernel::finish() {
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Ring>& ring : open_) {
    leaves(*ring);
    violation("a ring was never closed");
  }
  open_.clear();
  for (const auto& [address, bytes] : mapped_) {
    violation("ring memory of " + std::to_string(bytes) + " bytes was never unmapped");
  }
  mapped_.clear();
  report_.opcodes.clear();
  for (const io_uring_sqe& sqe : taken_) report_.opcodes.push_back(sqe.opcode);
  std::sort(report_.opcodes.begin(), report_.opcodes.end());
  report_.opcodes.erase(std::unique(report_.opcodes.begin(), report_.opcodes.end()), report_.opcodes.end());
  return report_;
}

}  // namespace assay
