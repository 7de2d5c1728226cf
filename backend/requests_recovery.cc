// Recovery, in Requests: what the kernel still has is found out after it dropped completions, so that only those whose
// completions are gone end with -EBADR, and everything else goes on in another ring.

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

using namespace std::chrono_literals;

// How long to wait for the end of what the kernel still has, so many times without progress.
constexpr std::chrono::nanoseconds kWait = 50ms;
constexpr unsigned kPatience = 20;
// How many answers that bring nothing are taken for that, since a kernel may refuse without taking time.
constexpr unsigned kAnswers = 1000;
// How often a cancelation is asked for again that went wrong, or whose reply was itself dropped.
constexpr unsigned kRounds = 4;

// Requests whose cancelation says -ENOENT while another completion is to come: the first one is in, and the buffer's
// notification is not.
bool may_await_notification(std::uint8_t opcode) {
  return opcode == IORING_OP_SEND_ZC || opcode == IORING_OP_SENDMSG_ZC;
}

}  // namespace

RecoveryCounts Requests::salvage() {
  recovering_ = true;
  recovery_ = {};
  take_back_unsubmitted();
  flush();
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    Slot& slot = table_[index];
    slot.fate = Fate::kUnknown;
    // The reply may be among what is lost; one that comes all the same finds nobody who waits for it.
    slot.replies_due = 0;
    if (slot.state == SlotState::kAwaitsReply) table_.give_back(index);
  }
  if (support_.has(IORING_OP_ASYNC_CANCEL)) {
    for (unsigned round = 0; round < kRounds && ask_for_fates(); ++round) {
    }
    for (std::uint32_t index = 0; index < table_.size(); ++index) {
      if (table_[index].fate == Fate::kDoubted) table_[index].fate = Fate::kUnknown;
    }
    confirming_ = true;
    for (unsigned round = 0; round < kRounds && ask_for_fates(); ++round) {
    }
    confirming_ = false;
  } else {
    // Nobody can ask; closing the ring will end what is left.
    for (std::uint32_t index = 0; index < table_.size(); ++index) table_[index].fate = Fate::kGone;
  }
  await_cancelled();
  end_lost();
  in_kernel_ = 0;
  sends_in_flight_ = 0;
  cancels_.clear();
  strays_.clear();
  return recovery_;
}

void Requests::resume(std::optional<Ring> ring) {
  if (ring) {
    ring_ = std::move(*ring);
    set_limits();
  }
  recovering_ = false;
  begin_batch();
}

// They never reached the kernel, so they go before everything else that waits for an SQE, as a chain if they are one.
void Requests::take_back_unsubmitted() {
  io_uring_sq& sq = ring_.raw()->sq;
  const bool polled = (ring_.setup_flags() & IORING_SETUP_SQPOLL) != 0;
  const unsigned first = polled ? sq.sqe_head : IO_URING_READ_ONCE(*sq.khead);
  std::vector<Queued> taken;
  for (unsigned position = first; position != sq.sqe_tail; ++position) {
    const std::uint64_t user_data = sqe_at(position).user_data;
    const std::uint32_t index = table_.find(user_data);
    if (index == InFlightTable::kNone || InFlightTable::is_cancel(user_data)) continue;
    Slot& slot = table_[index];
    if (slot.state != SlotState::kSubmitted || slot.sq_position != position) continue;
    --in_kernel_;
    if (slot.revoked) {
      end_later(index, -ECANCELED);
    } else {
      slot.state = SlotState::kBacklog;
      taken.push_back({index, slot.generation});
    }
  }
  for (auto queued = taken.rbegin(); queued != taken.rend(); ++queued) backlog_.push_front(*queued);
  sq.sqe_tail = sq.sqe_head = first;
  if (!polled) io_uring_smp_store_release(sq.ktail, first);
}

// Hands over all that there is, the kernel's backlog included.
void Requests::flush() {
  for (unsigned answers = 0; answers < kAnswers; ++answers) {
    while (ring_.cq_ready() != 0) recovery_.told += dispatch(ring_.cq_entries());
    if (!ring_.cq_needs_enter()) return;
    (void)ring_.get_events();
    if (ring_.cq_ready() == 0 && !ring_.cq_has_overflow()) return;
  }
}

// Cancels everything whose fate is not known. Each cancelation brings two completions, for which there must be room, or
// they would be dropped in turn. True when some were not told of, so that they must be asked for again.
bool Requests::ask_for_fates() {
  const unsigned at_once = std::max(1u, std::min(ring_.sq_entries(), ring_.cq_entries() / 2));
  bool again = false;
  std::vector<Queued> asked;
  for (std::uint32_t index = 0; index < table_.size() || !asked.empty();) {
    asked.clear();
    for (; index < table_.size() && asked.size() < at_once; ++index) {
      Slot& slot = table_[index];
      if (slot.state != SlotState::kSubmitted || slot.fate != Fate::kUnknown) continue;
      io_uring_sqe* sqe = ring_.get_sqe();
      // A poll thread may not have taken yet what was asked before.
      if (sqe == nullptr && asked.empty() && make_room()) sqe = ring_.get_sqe();
      if (sqe == nullptr) break;
      io_uring_prep_cancel64(sqe, table_.user_data(index), 0);
      sqe->user_data = table_.cancel_user_data(index);
      ++counters_.submitted;
      asked.push_back({index, slot.generation});
    }
    if (asked.empty()) {
      again |= index < table_.size();
      break;
    }
    const auto is_unknown = [this](const Queued& queued) {
      const Slot& slot = table_[queued.index];
      return slot.generation == queued.generation && slot.state == SlotState::kSubmitted && slot.fate == Fate::kUnknown;
    };
    if (!wait_until([&] { return std::none_of(asked.begin(), asked.end(), is_unknown); })) again = true;
  }
  return again;
}

// What was cancelled, or cannot be any more, brings its completion soon.
void Requests::await_cancelled() {
  wait_until([this] {
    for (std::uint32_t index = 0; index < table_.size(); ++index) {
      if (table_[index].state == SlotState::kSubmitted && table_[index].fate == Fate::kEnding) return false;
    }
    return true;
  });
  flush();
}

void Requests::end_lost() {
  const std::uint32_t count = table_.size();
  for (std::uint32_t index = 0; index < count; ++index) {
    if (table_[index].state != SlotState::kSubmitted) continue;
    if (table_[index].owner == RequestOwner::kUser) ++recovery_.lost;
    told_ = 0;
    // Cancelations of it may still be on their way, so the slot is not for another request under the same generation.
    table_[index].cancel_queued = true;
    finish(index, {.res = -EBADR});
    recovery_.told += told_;
  }
}

template <typename Done>
bool Requests::wait_until(Done done) {
  unsigned waits = 0;
  for (unsigned answers = 0; answers < kAnswers && waits < kPatience; ++answers) {
    flush();
    if (done()) return true;
    const int answer = support_.limits_waits ? ring_.submit_and_wait(1, kWait) : submit_and_poll(kWait);
    if (answer == -ETIME) ++waits;
    if (answer == -EAGAIN || answer == -EBUSY) ring_.kernel().relax(ring_.fd());
  }
  flush();
  return done();
}

bool Requests::take_fate(std::uint32_t index, std::int32_t res) {
  Slot& slot = table_[index];
  if (!recovering_ || slot.state != SlotState::kSubmitted) return false;
  switch (-res) {
    case 0:
    case EALREADY:
      slot.fate = Fate::kEnding;
      break;
    case ENOENT:
      slot.fate = may_await_notification(slot.opcode) ? Fate::kEnding : confirming_ ? Fate::kGone : Fate::kDoubted;
      break;
    default:
      break;  // the cancelation itself went wrong; the next round asks again
  }
  return true;
}

// Undone by recovery, and nobody asked for that: it starts anew in the next ring. Not a part of a chain, whose other
// parts have ended; nor CONNECT, which leaves a socket that is connecting.
bool Requests::restart(std::uint32_t index, const Completion& completion) {
  Slot& slot = table_[index];
  if (completion.res != -ECANCELED || slot.operation == nullptr || slot.cancel_requested || slot.revoked) return false;
  if (slot.linked || slot.follows || slot.opcode == IORING_OP_CONNECT || refuses_) return false;
  slot.state = SlotState::kBacklog;
  const Queued queued{index, slot.generation};
  slot.owner == RequestOwner::kLoop ? backlog_.push_front(queued) : backlog_.push_back(queued);
  ++recovery_.restarted;
  return true;
}

}  // namespace assay::internal
