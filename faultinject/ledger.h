#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/faultinject/ring_view.h"

namespace assay {

/// When a program that makes no progress is given up: so many calls in a row without a request taken, a completion
/// posted, a completion reaped or the clock moved; or so much time of the Kernel's clock with nothing of the first
/// three.
struct LedgerOptions {
  std::uint64_t idle_calls = 10'000;
  std::chrono::nanoseconds idle_time = std::chrono::hours(2);
  /// What becomes of a program that is stuck: told why in a line, and not to return. Unset, the line goes to standard
  /// error and the process aborts.
  std::function<void(const std::string& why)> when_stuck;
  /// False where the kernel has no IORING_OP_ASYNC_CANCEL: nobody can be expected then to end what waits for ever.
  bool can_cancel = true;
};

/// What a ledger saw.
struct LedgerReport {
  /// What a program must not do or leave behind, a paragraph each: the breach, the request and its SQE, and what the
  /// ledger saw of its user_data.
  std::vector<std::string> violations;
  /// Requests that the kernel took, and completions that it posted for them.
  std::uint64_t requests = 0;
  std::uint64_t completions = 0;
  /// Completions whose user_data no request in flight had: sent by other rings, or foreign.
  std::uint64_t unasked = 0;
  /// Completions that were overwritten before the ledger could look, which happens where a kernel posts and a program
  /// reaps between two calls. What they said is not known, so requests are not missed where this is above 0.
  std::uint64_t unseen = 0;
  /// Completions that the kernel dropped.
  std::uint64_t dropped = 0;
  /// The opcodes of these requests, in ascending order.
  std::vector<std::uint8_t> opcodes;
  /// Calls of enter, register, map, setup and relax.
  std::uint64_t calls = 0;
};

/// Any Kernel, with a book of what a program asked of it and what came of that: the oracle that needs to know nothing
/// of the program.
///
/// It holds a program to this:
/// - every request that the kernel took ends, once, before its ring is closed, if the kernel may touch its memory until
///   then (a poll or a timeout may be left behind, which the kernel ends by itself); unless the kernel refuses to be
///   entered for good;
/// - every completion of a request is reaped before its ring is closed, and the CQ's head never passes its tail, nor
///   the SQ's tail its head by more than the SQ has entries;
/// - rings are closed and their memory is unmapped, once;
/// - something goes on: no wait for what never comes, no spinning.
///
/// Multishot requests (IORING_CQE_F_MORE), notifications and IOSQE_CQE_SKIP_SUCCESS are honoured. Over a stepped
/// SimKernel nothing escapes it. Over Linux completions may pass unseen, which the report counts.
///
/// Stands above a FaultKernel, so that it sees what the program sees. Safe for threads.
class LedgerKernel final : public Kernel {
 public:
  /// `base` must outlive the result.
  explicit LedgerKernel(Kernel& base, LedgerOptions options = {});
  ~LedgerKernel() override;

  /// What is wrong so far, and, as the program is over, what it left behind: open rings and mapped memory.
  LedgerReport finish();

  int setup(unsigned entries, io_uring_params* params) override;
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override;
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override;
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override;
  int unmap(void* address, std::size_t bytes) override;
  int close(int ring_fd) override;
  int now(clockid_t clock, timespec* time) override { return base_.now(clock, time); }
  int wait_readable(int ring_fd, const timespec* timeout) override;
  void relax(int ring_fd) override;
  /// The base's.
  std::string name() const override { return base_.name(); }

 private:
  struct Request {
    // Cancelations that were answered with -ENOENT while it was in flight: the kernel denies to have it.
    unsigned denied = 0;
    std::uint64_t number = 0;  // in the order in which the kernel took them, from 1
    unsigned completions = 0;
  };
  struct Ring : RingView {
    using RingView::RingView;

    /// SQEs that were offered and not yet taken, as they were when last looked at; the first is at `offered_from`.
    std::vector<io_uring_sqe> offered;
    std::uint32_t offered_from = 0;
    /// What is before this position was taken.
    std::uint32_t sq_taken = 0;
    /// CQEs before this position were looked at, and before that one reaped.
    std::uint32_t cq_seen = 0;
    std::uint32_t cq_reaped = 0;
    std::uint32_t dropped = 0;
    bool overran_sq = false;
    bool overran_cq = false;
    bool left = false;
    /// The latest enter failed with something that another try would not mend.
    bool refuses_to_be_entered = false;
    bool told_of_drops = false;  // by -EBADR
    /// By user_data; those of the same one in the order in which they were taken.
    std::unordered_multimap<std::uint64_t, Request> in_flight;
  };
  // An event of a user_data: a request that was taken, a completion of one, or one that none asked for.
  struct Seen {
    enum class Kind : std::uint8_t { kTaken, kCompleted, kUnasked } kind;
    std::uint64_t user_data;
    std::uint64_t number;  // the request's
    std::int32_t res;
    std::uint32_t flags;
  };

  void look(Ring& ring);
  void look_at_sq(Ring& ring);
  void look_at_cq(Ring& ring);
  void took(Ring& ring, const io_uring_sqe& sqe);
  void takes_ahead(Ring& ring, std::uint64_t user_data);
  void posted(Ring& ring, const io_uring_cqe& cqe);
  void leaves(Ring& ring);
  void violation(const std::string& breach);
  void violation(const std::string& breach, const Request& request);
  std::string words_of(std::uint64_t number) const;
  std::string text_of(const Seen& seen) const;
  std::string history(std::uint64_t user_data) const;
  int called(Ring* ring, int result);
  void watch_progress();
  [[gnu::cold]] void stuck(const std::string& why);

  Kernel& base_;
  LedgerOptions options_;
  std::mutex mutex_;
  RingViews<Ring> rings_;
  std::vector<std::shared_ptr<Ring>> open_;
  std::unordered_map<void*, std::size_t> mapped_;
  std::vector<io_uring_sqe> taken_;  // by number, from 1
  std::vector<Seen> seen_;
  LedgerReport report_;
  std::uint64_t progress_ = 0;       // grows with whatever goes on
  std::uint64_t last_progress_ = 0;  // as of the last call
  std::uint64_t idle_calls_ = 0;
  std::chrono::nanoseconds last_time_{0};      // when the last call was made
  std::chrono::nanoseconds progress_time_{0};  // when something last went on
  bool is_stuck_ = false;
};

}  // namespace assay
