// Cancelation: what is asked for, when, and whose completions arrive meanwhile.

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

enum class CancelDefect {
  kNone,
  kDropsOthersGivenUp,
  kDropsOthers,
  kWrongName,
  kNameUsedAgain,
  kExpectsToFind,
  kLeaves,
  kNeedsRoom,
  kBeforeSubmission,
};

// Reads of pipes, some of which are given up.
class GivingUp final : public SmallLoop {
 public:
  // Where `prepares_only`, what is given up has not been submitted.
  GivingUp(Kernel& kernel, std::span<PipeRead> reads, CancelDefect defect, bool prepares_only)
      : SmallLoop(kernel, {.sq_entries = 2}),
        reads_(reads),
        names_(reads.size()),
        defect_(defect),
        prepares_only_(prepares_only) {}

  void run_reads(const std::function<void()>& gave_up) {
    for (PipeRead& read : reads_) read.result = error();
    if (error() != 0) return;
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (!reads_[i].follows) start_read(i);
    }
    if (prepares_only_) {
      fill_sq();
    } else {
      submit_all();
    }
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (reads_[i].aborted) cancel(names_[i]);
    }
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (!reads_[i].aborted) continue;
      awaited_ = i;
      if (defect_ != CancelDefect::kLeaves) run_until([&] { return has_ended(i); });
    }
    awaited_.reset();
    gave_up();
    run_until([&] { return defect_ == CancelDefect::kLeaves && has_ended(reads_.size() - 1) && has_ended(2); });
    for (PipeRead& read : reads_) {
      if (error() != 0) read.result = error();
      if (read.result == -EINPROGRESS) read.result = -ECANCELED;
    }
  }

 private:
  void start_read(std::size_t i) {
    reads_[i].result = -EINPROGRESS;
    names_[i] = start(
        [read = reads_[i]](io_uring_sqe& sqe) {
          io_uring_prep_read(&sqe, read.fd, read.into.data(), static_cast<unsigned>(read.into.size()),
                             ~std::uint64_t{0});
        },
        [this, i](const io_uring_cqe& cqe) { ended(i, cqe.res); });
  }

  void ended(std::size_t i, int res) {
    const bool again = (res == -EINTR || res == -EAGAIN) && !reads_[i].aborted;
    if (again) return start_read(i);
    reads_[i].result = res == -EAGAIN ? -ECANCELED : res;
    if (i + 1 < reads_.size() && reads_[i + 1].follows) start_read(i + 1);
  }
  bool has_ended(std::size_t i) const { return reads_[i].result != -EINPROGRESS; }

  void tell(const io_uring_cqe& cqe) override {
    if (awaited_ && cqe.user_data != names_[*awaited_]) {
      // Whoever waits for one is told of others too.
      const auto other = std::find(names_.begin(), names_.end(), cqe.user_data);
      const bool is_read = other != names_.end();
      const bool given_up = is_read && reads_[static_cast<std::size_t>(other - names_.begin())].aborted;
      if (is_read && given_up && defect_ == CancelDefect::kDropsOthersGivenUp) return;
      if (is_read && !given_up && defect_ == CancelDefect::kDropsOthers) return;
    }
    SmallLoop::tell(cqe);
  }

  std::uint64_t new_user_data() override {
    if (defect_ != CancelDefect::kNameUsedAgain) return SmallLoop::new_user_data();
    std::uint64_t name = 1;  // the lowest free one, as a pointer to a record would be
    while (in_flight(name)) ++name;
    return name;
  }

  void cancel(std::uint64_t name) override {
    switch (defect_) {
      case CancelDefect::kLeaves:
        return;
      case CancelDefect::kNeedsRoom:
        if (ring().sq_space_left() == 0) return;  // there is no SQE for it
        break;
      case CancelDefect::kBeforeSubmission: {
        io_uring_sync_cancel_reg request{.addr = name, .fd = -1, .flags = 0, .timeout = {-1, -1}, .pad = {}};
        const int answer = ring().register_op(IORING_REGISTER_SYNC_CANCEL, &request, 1);
        // It is not there, so it must be over.
        if (answer == -ENOENT) SmallLoop::tell({.user_data = name, .res = -ECANCELED, .flags = 0});
        return;
      }
      case CancelDefect::kWrongName:
        start([name](io_uring_sqe& sqe) { io_uring_prep_cancel64(&sqe, name + kTag, 0); }, [](const io_uring_cqe&) {});
        return;
      default:
        break;
    }
    SmallLoop::cancel(name);
  }

  void cancel_answered(std::uint64_t name, int answer) override {
    if (defect_ == CancelDefect::kExpectsToFind && (answer == -ENOENT || answer == -EALREADY)) std::abort();
    SmallLoop::cancel_answered(name, answer);
  }

  // What a request's name may be stored with elsewhere.
  static constexpr std::uint64_t kTag = std::uint64_t{1} << 32;

  std::span<PipeRead> reads_;
  std::vector<std::uint64_t> names_;
  CancelDefect defect_;
  bool prepares_only_;
  std::optional<std::size_t> awaited_;
};

std::function<AbortingReader(bool)> reader_with(CancelDefect defect, bool prepares_only) {
  return [defect, prepares_only](bool has_defect) {
    return [defect = has_defect ? defect : CancelDefect::kNone, prepares_only](
               Kernel& kernel, std::span<PipeRead> reads, const std::function<void()>& gave_up) {
      GivingUp(kernel, reads, defect, prepares_only).run_reads(gave_up);
    };
  };
}

}  // namespace

void internal::add_cancel_specimens(std::vector<Specimen>& specimens) {
  const auto add = [&](std::string name, std::vector<std::string> rows, std::string tells, CancelDefect defect,
                       bool prepares_only = false) {
    specimens.push_back(specimen_of<AbortingReader>(std::move(name), std::move(rows), std::move(tells),
                                                    "gives-up-some-reads", gives_up_some_reads,
                                                    reader_with(defect, prepares_only)));
  };
  add("cancel-dropped-when-sq-full", {"B20"}, "A cancelation for which there is no SQE is dropped.",
      CancelDefect::kNeedsRoom, true);
  add("waits-for-one-of-the-cancelled", {"B40"},
      "While one cancelled read is awaited, the completions of other cancelled ones are dropped.",
      CancelDefect::kDropsOthersGivenUp);
  add("drops-those-not-cancelled", {"B41"},
      "While a cancelled read is awaited, the completions of reads that were not cancelled are dropped.",
      CancelDefect::kDropsOthers);
  add("cancels-another-name", {"B42"}, "The cancelation's target is not the user_data of any request.",
      CancelDefect::kWrongName);
  add("user-data-used-again", {"B43", "B45"},
      "A request gets the user_data of one that is over, whose cancelation is not.", CancelDefect::kNameUsedAgain);
  add("cancelation-must-find", {"B44"}, "A cancelation that does not find its target aborts the process.",
      CancelDefect::kExpectsToFind);
  add("left-in-flight", {"B47"}, "What is given up is neither cancelled nor awaited before its memory and the ring go.",
      CancelDefect::kLeaves);
  add("cancelled-before-submission", {"B74"},
      "A request that the kernel has not seen yet is taken to be over, because it cannot be found.",
      CancelDefect::kBeforeSubmission, true);
}

}  // namespace assay::conformance
