#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "assay/backend/operation.h"

namespace assay::internal {

/// Where a request is in its life.
enum class SlotState : std::uint8_t {
  kFree,
  /// Waits for a free SQE.
  kBacklog,
  /// Has an SQE, which the kernel may or may not have consumed.
  kSubmitted,
  /// Its SQE was taken back, because the kernel took only what comes before it in its chain.
  kHeldBack,
  /// Needs no request: it waits for something of the loop's own, as a timer.
  kParked,
  /// Ended without the kernel; its result waits to be handed over.
  kEnded,
  /// Its last completion is being handed over.
  kCompleting,
  /// Told its result, and kept because the reply of a cancelation is still to come.
  kAwaitsReply,
};

/// For whom a request is.
enum class RequestOwner : std::uint8_t {
  /// A user's operation: keeps the loop alive, and its completions count as events.
  kUser,
  /// An event's poll, or a request that nobody waits for any more.
  kEvent,
  /// What wakes the loop: goes before everything else.
  kLoop,
};

/// What the kernel knows of a request, after it dropped completions.
enum class Fate : std::uint8_t {
  /// It was not asked yet.
  kUnknown,
  /// It has the request, whose completion comes.
  kEnding,
  /// It said once that it has no such request. One that is on its way between two states is overlooked like that.
  kDoubted,
  /// It has no such request: the completion was dropped.
  kGone,
};

/// All that decides which way a request takes, so small that one comparison tells the usual ones.
struct SlotStatus {
  SlotState state = SlotState::kFree;
  RequestOwner owner = RequestOwner::kUser;
  /// Replies to cancelations that are still to come.
  std::uint8_t replies_due = 0;
  /// A send, which waits for batches leave out.
  bool sends : 1 = false;
  /// A cancelation was asked for.
  bool cancel_requested : 1 = false;
  /// A cancelation waits for an SQE.
  bool cancel_queued : 1 = false;
  /// Its SQE was made a NOP before the kernel saw it; the result is -ECANCELED whatever the NOP says.
  bool revoked : 1 = false;
  /// Linked to the next request, as IOSQE_IO_LINK or IOSQE_IO_HARDLINK say.
  bool linked : 1 = false;
  bool hard_linked : 1 = false;
  /// The request before it is linked to it.
  bool follows : 1 = false;
  /// Others are held back until it has ended; `next` is the first.
  bool holds_back : 1 = false;

  /// True for a user's operation in this state with which nothing special is the matter.
  bool is_usual(SlotState in_state) const noexcept {
    return std::bit_cast<std::uint32_t>(*this) == std::bit_cast<std::uint32_t>(SlotStatus{.state = in_state});
  }
};

/// One request, from when it is queued until nothing in the kernel can refer to it any more.
struct Slot : SlotStatus {
  /// While completions that were dropped are recovered from.
  Fate fate = Fate::kUnknown;
  std::uint8_t opcode = 0;
  /// Cancelations that failed for a reason that is worth another try.
  std::uint8_t cancel_retries = 0;
  /// Who is told, or is being told; null when nobody wants to know any more.
  Operation* operation = nullptr;
  /// Its own index, beside the generation since both make the user_data.
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  /// Position of its SQE in the SQ (not masked), while kSubmitted.
  std::uint32_t sq_position = 0;
  /// Next in the list of free slots, or in a chain of those that are held back; kNone behind the last.
  std::uint32_t next = 0;
  /// The request that it is linked to, while `follows`.
  std::uint32_t previous = 0;
  /// What it ended with, while kEnded. While kSubmitted and linked: what it must transfer not to fail its chain, or 0.
  std::int32_t result = 0;

  std::uint64_t user_data() const noexcept { return std::uint64_t{generation} << 32 | index; }
};

/// All requests, by slot. A request's `user_data` is its slot's index and generation, never an address: a completion
/// that comes after its request was given up finds another generation, and nothing else happens.
class InFlightTable {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  /// The user_data of a request of our own that nobody waits for. Its index is beyond every table.
  static constexpr std::uint64_t kNobody = (std::uint64_t{1} << 63) | 0xffff'fffe;

  /// The user_data of what another ring sends to this one (MSG_RING). No request has it either.
  static constexpr std::uint64_t kMessage = 0xffff'fffd;

  Slot& operator[](std::uint32_t index) { return slots_[index]; }
  std::uint32_t size() const noexcept { return size_; }

  std::uint32_t take() {
    if (free_ == kNone) grow();
    const std::uint32_t index = free_;
    free_ = std::exchange(slots_[index].next, kNone);
    return index;
  }
  void give_back(std::uint32_t index) {
    Slot& slot = slots_[index];
    const std::uint32_t generation = (slot.generation + 1) & kGenerationMask;
    slot = Slot{};
    slot.index = index;
    slot.generation = generation;
    slot.next = free_;
    free_ = index;
  }

  std::uint64_t user_data(std::uint32_t index) const { return slots_[index].user_data(); }
  /// The same for the request that cancels it. The top bit makes it neither a request's nor kUserDataTimeout.
  std::uint64_t cancel_user_data(std::uint32_t index) const { return user_data(index) | kCancelBit; }

  static bool is_cancel(std::uint64_t user_data) { return (user_data & kCancelBit) != 0; }
  /// The slot that `user_data` names, or kNone when that request is over.
  std::uint32_t find(std::uint64_t user_data) const {
    return find(static_cast<std::uint32_t>(user_data), static_cast<std::uint32_t>(user_data >> 32) & kGenerationMask);
  }
  std::uint32_t find(std::uint32_t index, std::uint32_t generation) const {
    if (index >= size_) return kNone;
    const Slot& slot = slots_[index];
    return slot.generation == generation && slot.state != SlotState::kFree ? index : kNone;
  }

 private:
  static constexpr std::uint64_t kCancelBit = std::uint64_t{1} << 63;
  static constexpr std::uint32_t kGenerationMask = 0x7fff'ffff;

  [[gnu::noinline]] void grow() {
    const std::uint32_t old_size = size();
    const std::uint32_t new_size = old_size == 0 ? 64 : old_size * 2;
    slots_.resize(new_size);
    size_ = new_size;
    for (std::uint32_t index = new_size; index-- > old_size;) {
      slots_[index].index = index;
      slots_[index].next = free_;
      free_ = index;
    }
  }

  std::vector<Slot> slots_;
  std::uint32_t size_ = 0;
  std::uint32_t free_ = kNone;
};

}  // namespace assay::internal
