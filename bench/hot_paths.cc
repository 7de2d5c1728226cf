// The parts of a request's way, each by itself, and a turn of the Backend's loop with one thing in it. Nothing here
// needs to stop a clock in between, so that counts of instructions are exact: what is submitted posts no completion,
// and what was reaped is put back.

#include <string>

#include "assay/backend/fd_event.h"
#include "assay/backend/operation.h"
#include "assay/backend/ring.h"
#include "assay/backend/timer.h"
#include "assay/bench/eventfd.h"
#include "assay/bench/harness.h"
#include "assay/bench/stopped_clock.h"

namespace assay::bench {
namespace {

constexpr unsigned kEntries = 128;

class LiburingPart {
 public:
  LiburingPart() : ring_(kEntries, 2 * kEntries, kPlainRing) {}
  io_uring* raw() { return ring_.raw(); }
  io_uring_sqe* get_sqe() { return io_uring_get_sqe(ring_.raw()); }
  int submit() { return io_uring_submit(ring_.raw()); }
  template <typename Visit>
  unsigned for_each_cqe(Visit visit) {
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(ring_.raw(), head, cqe) {
      visit(std::as_const(*cqe));
      ++seen;
    }
    io_uring_cq_advance(ring_.raw(), seen);
    return seen;
  }

 private:
  LiburingRing ring_;
};

class RingPart {
 public:
  RingPart() : ring_(open()) {}
  io_uring* raw() { return ring_.raw(); }
  io_uring_sqe* get_sqe() { return ring_.get_sqe(); }
  int submit() { return ring_.submit(); }
  template <typename Visit>
  unsigned for_each_cqe(Visit visit) {
    return ring_.for_each_cqe(visit);
  }

 private:
  static Ring open() {
    auto ring = Ring::create(LinuxKernel::instance(), {.sq_entries = kEntries, .cq_entries = 2 * kEntries});
    if (!ring) give_up("Ring::create", ring.error().code.value());
    return std::move(*ring);
  }

  Ring ring_;
};

/// get_sqe, prepare, submit without a wait. The NOPs post no completions (IOSQE_CQE_SKIP_SUCCESS), so nothing is
/// reaped.
template <typename Part>
class Submits final : public Path {
 public:
  explicit Submits(unsigned batch) : batch_(batch) {}

  Ran run(std::uint64_t rounds) override {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      for (unsigned k = 0; k < batch_; ++k) {
        io_uring_sqe* sqe = part_.get_sqe();
        if (sqe == nullptr) give_up("an SQE", EBUSY);
        io_uring_prep_nop(sqe);
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
      }
      const int submitted = part_.submit();
      if (submitted != static_cast<int>(batch_)) give_up("submit", submitted < 0 ? submitted : EIO);
    }
    if (io_uring_cq_ready(part_.raw()) != 0) give_up("a NOP that failed", EIO);
    return {.operations = rounds * batch_};
  }

 private:
  Part part_;
  unsigned batch_;
};

/// Visiting completions and giving them back. The head of the CQ, which is the program's, is then put back to them: the
/// kernel would look at it before it posts the next ones, and is not asked for any.
template <typename Part>
class Reaps final : public Path {
 public:
  explicit Reaps(unsigned batch) : batch_(batch) {
    for (unsigned k = 0; k < batch; ++k) io_uring_prep_nop(part_.get_sqe());
    const int submitted = part_.submit();
    if (submitted != static_cast<int>(batch)) give_up("submit", submitted < 0 ? submitted : EIO);
    if (io_uring_cq_ready(part_.raw()) != batch) give_up("a NOP that is not over at once", EIO);
  }

  Ran run(std::uint64_t rounds) override {
    unsigned* const head = part_.raw()->cq.khead;
    const unsigned first = *head;
    for (std::uint64_t i = 0; i < rounds; ++i) {
      unsigned succeeded = 0;
      const unsigned seen = part_.for_each_cqe([&](const io_uring_cqe& cqe) { succeeded += cqe.res == 0 ? 1 : 0; });
      if (seen != batch_ || succeeded != batch_) give_up("a NOP", EIO);
      io_uring_smp_store_release(head, first);
    }
    return {.operations = rounds * batch_, .cqes = rounds * batch_};
  }

 private:
  Part part_;
  unsigned batch_;
};

class BackendTurns : public Path {
 protected:
  std::unique_ptr<Backend> backend_ = create_backend(kEntries, 2 * kEntries, kPlainRing);
};

/// An operation of a user's own, submitted and completed.
class OperationTurns final : public BackendTurns {
 public:
  Ran run(std::uint64_t rounds) override {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      if (!backend_->submit(nop_)) give_up("Backend::submit", EIO);
      turn_of(*backend_);
      if (nop_.in_flight()) give_up("a NOP that is not over", EIO);
    }
    return {.operations = rounds, .cqes = rounds};
  }

 private:
  class Nop final : public Operation {
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
    void complete(const Completion& completion) override {
      if (completion.res != 0) give_up("a NOP", completion.res);
    }
  };

  Nop nop_;
};

/// A persistent event on a descriptor that stays readable, told once a turn.
class FdEventTurns final : public BackendTurns {
 public:
  FdEventTurns() {
    if (!event_.add()) give_up("FdEvent::add", EINVAL);
  }

  Ran run(std::uint64_t rounds) override {
    const std::uint64_t before = told_;
    for (std::uint64_t i = 0; i < rounds; ++i) turn_of(*backend_);
    if (told_ != before + rounds) give_up("an event that was not told once a turn", EIO);
    return {.operations = rounds};
  }

 private:
  Eventfd readable_{1};
  std::uint64_t told_ = 0;
  FdEvent event_{*backend_, readable_.fd(), {.read = true, .persistent = true}, [this](Readiness ready) {
                   if (!ready.read) give_up("an event", EIO);
                   ++told_;
                 }};
};

/// A timer that comes due, on a clock that only this moves: which slot of the wheel it is in decides what it costs.
class TimerTurns final : public Path {
 public:
  Ran run(std::uint64_t rounds) override {
    const std::uint64_t before = told_;
    for (std::uint64_t i = 0; i < rounds; ++i) {
      if (!timer_.start_after(kDelay)) give_up("Timer::start_after", EINVAL);
      clock_.advance(kDelay);
      turn_of(*backend_);
    }
    if (told_ != before + rounds) give_up("a timer that was not told once a turn", EIO);
    return {.operations = rounds};
  }

 private:
  static constexpr std::chrono::microseconds kDelay{10};

  StoppedClock clock_;
  std::unique_ptr<Backend> backend_ = create_backend(kEntries, 2 * kEntries, kPlainRing, clock_);
  std::uint64_t told_ = 0;
  Timer timer_{*backend_, [this] { ++told_; }};
};

/// A path of that kind, once a ring of liburing's could be had here; `feature` is an IORING_FEAT_* that it needs.
template <typename P, typename... Arguments>
std::function<Result<std::unique_ptr<Path>>()> where_possible(unsigned feature, const char* feature_name,
                                                              Arguments... arguments) {
  return [=]() -> Result<std::unique_ptr<Path>> {
    const auto ring = LiburingRing::create(1, 2, kPlainRing);
    if (!ring) return ring.error();
    if (((*ring)->raw()->features & feature) != feature) return Error::from_errno(ENOTSUP, feature_name);
    return std::unique_ptr<Path>(new P(arguments...));
  };
}

}  // namespace

void add_hot_paths(BenchList& list) {
  const auto add = [&list](const char* work, const char* path, unsigned batch,
                           std::function<Result<std::unique_ptr<Path>>()> make) {
    list.add(
        {.name =
             {.chapter = "harness", .work = work, .setup = "plain", .path = path, .size_name = "batch", .size = batch},
         .quick = batch == 32,
         .make = std::move(make)});
  };
  // A row each: they are different things to be told.
  const auto add_turn = [&list](const char* with, std::function<Result<std::unique_ptr<Path>>()> make) {
    list.add({.name = {.chapter = "harness",
                       .work = "event_turn",
                       .setup = with,
                       .path = "Backend",
                       .size_name = "events",
                       .size = 1},
              .make = std::move(make)});
  };
  constexpr const char* kSkips = "IOSQE_CQE_SKIP_SUCCESS, since Linux 5.17";
  for (const unsigned batch : {1U, 8U, 32U, 128U}) {
    add("submit", "liburing", batch, where_possible<Submits<LiburingPart>>(IORING_FEAT_CQE_SKIP, kSkips, batch));
    add("submit", "Ring", batch, where_possible<Submits<RingPart>>(IORING_FEAT_CQE_SKIP, kSkips, batch));
  }
  for (const unsigned batch : {1U, 8U, 32U, 128U}) {
    add("reap", "liburing", batch, where_possible<Reaps<LiburingPart>>(0, "", batch));
    add("reap", "Ring", batch, where_possible<Reaps<RingPart>>(0, "", batch));
  }
  add_turn("Operation", where_possible<OperationTurns>(0, ""));
  add_turn("FdEvent", where_possible<FdEventTurns>(0, ""));
  add_turn("Timer", where_possible<TimerTurns>(0, ""));
}

}  // namespace assay::bench
