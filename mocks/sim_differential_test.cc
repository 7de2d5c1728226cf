#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/ring.h"
#include "assay/backend/uapi_names.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

// Small random programs run on the simulator, acting as the running kernel, and on that kernel itself. Step by step
// both must give the same completions: what the simulator gave is what is waited for on Linux, so nothing depends on
// timing.
//
// Where a kernel is free, it may go another way on a busy machine: between two pieces of task work it reschedules, and
// then flushes completions, which starts their linked requests earlier than otherwise. So a program that ends
// differently is run again, and only what the kernel does not do in any of many runs is held against the simulator.

namespace assay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kFiles = 3;

/// One SQE, as data: fds and memory differ from run to run.
struct Instruction {
  std::uint8_t opcode = IORING_OP_NOP;
  std::uint8_t flags = 0;
  std::uint64_t user_data = 0;
  std::size_t file = 0;
  std::uint64_t target = 0;    // what it removes or cancels
  std::uint32_t op_flags = 0;  // of the operation
  std::uint32_t count = 0;     // completions that a timeout counts
  bool valid = true;
};

/// A batch of SQEs, then a signal to some of the files.
struct Step {
  std::vector<Instruction> instructions;
  std::vector<std::size_t> signalled;
  bool reaps = true;  // otherwise completions pile up
};

struct Program {
  unsigned setup_flags = 0;
  /// Whether the kernel is bound to one order of the completions: nothing goes to a worker, who is free to come late.
  bool ordered = true;
  std::vector<Step> steps;
};

struct Seen {
  std::uint64_t user_data;
  std::int32_t res;
  std::uint32_t flags;
  friend auto operator<=>(const Seen&, const Seen&) = default;
};

std::string describe(const Program& program) {
  std::string text = "setup " + uapi_flags(UapiClass::kSetupFlag, program.setup_flags) + "\n";
  for (const Step& step : program.steps) {
    for (const Instruction& one : step.instructions) {
      text += "  " + uapi_name(UapiClass::kOpcode, one.opcode) + " #" + std::to_string(one.user_data);
      if (one.flags != 0) text += " " + uapi_flags(UapiClass::kSqeFlag, one.flags);
      text += " file " + std::to_string(one.file) + " target " + std::to_string(one.target) + " op_flags " +
              std::to_string(one.op_flags) + " count " + std::to_string(one.count) + (one.valid ? "" : " invalid") +
              "\n";
    }
    text += "  enter; signal";
    for (const std::size_t file : step.signalled) text += " " + std::to_string(file);
    text += "\n";
  }
  return text;
}

std::string describe(const std::vector<Seen>& seen) {
  std::string text;
  for (const Seen& one : seen) {
    text += " #" + std::to_string(one.user_data) + "=" + std::to_string(one.res) + "/" + std::to_string(one.flags);
  }
  return text;
}

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  Program program() {
    Program program;
    const unsigned kind = below(3);
    if (kind == 1) program.setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (kind == 2) program.setup_flags = IORING_SETUP_SUBMIT_ALL;

    const unsigned steps = 1 + below(4);
    for (unsigned index = 0; index < steps; ++index) program.steps.push_back(step());
    program.ordered = ordered_;
    return program;
  }

 private:
  unsigned below(unsigned limit) { return std::uniform_int_distribution<unsigned>(0, limit - 1)(random_); }
  bool one_in(unsigned count) { return below(count) == 0; }

  Step step() {
    Step step;
    const unsigned count = 1 + below(7);
    for (unsigned index = 0; index < count; ++index) step.instructions.push_back(instruction());
    // A chain without an end goes to a worker, which is free to come late.
    step.instructions.back().flags &= static_cast<std::uint8_t>(~(IOSQE_IO_LINK | IOSQE_IO_HARDLINK));
    for (std::size_t file = 0; file < kFiles; ++file) {
      if (one_in(3)) step.signalled.push_back(file);
    }
    step.reaps = !one_in(4);
    return step;
  }

  Instruction instruction() {
    static constexpr std::array<std::uint8_t, 9> kOpcodes = {
        IORING_OP_NOP,     IORING_OP_NOP,          IORING_OP_READ,           IORING_OP_WRITE,      IORING_OP_POLL_ADD,
        IORING_OP_TIMEOUT, IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT_REMOVE, IORING_OP_POLL_REMOVE};
    Instruction one;
    one.opcode = kOpcodes[below(kOpcodes.size())];
    one.user_data = ++last_user_data_;
    one.file = below(kFiles);
    one.target = 1 + below(static_cast<unsigned>(last_user_data_));
    if (one_in(4)) one.flags |= IOSQE_IO_LINK;
    if (one_in(10)) one.flags |= IOSQE_IO_HARDLINK;
    if (one_in(12)) one.flags |= IOSQE_CQE_SKIP_SUCCESS;
    if (one.opcode == IORING_OP_POLL_ADD && one_in(3)) {
      one.op_flags = IORING_POLL_ADD_MULTI;
      one.flags &= static_cast<std::uint8_t>(~IOSQE_CQE_SKIP_SUCCESS);
    }
    if (one.opcode == IORING_OP_TIMEOUT) {
      if (one_in(3)) one.count = 1 + below(3);
      if (one_in(4)) one.op_flags = IORING_TIMEOUT_ETIME_SUCCESS;
    }
    if (one.opcode == IORING_OP_ASYNC_CANCEL) {
      static constexpr std::uint32_t kHow[] = {0,
                                               0,
                                               0,
                                               IORING_ASYNC_CANCEL_ALL,
                                               IORING_ASYNC_CANCEL_FD,
                                               IORING_ASYNC_CANCEL_ANY,
                                               IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL};
      one.op_flags = kHow[below(7)];
      // Which of several goes first is up to a hash.
      if (one.op_flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) ordered_ = false;
    }
    if (one.opcode == IORING_OP_POLL_REMOVE && one_in(3)) {
      one.op_flags = one_in(2) ? IORING_POLL_UPDATE_USER_DATA : IORING_POLL_UPDATE_EVENTS;
    }
    one.valid = !one_in(25);
    return one;
  }

  std::mt19937 random_;
  bool ordered_ = true;
  std::uint64_t last_user_data_ = 0;
};

/// A program on one kernel.
class Execution {
 public:
  Execution(Kernel& kernel, const Program& program)
      : ring_(
            std::move(*Ring::create(kernel, {.sq_entries = 8, .cq_entries = 8, .setup_flags = program.setup_flags}))) {
    for (auto& file : files_) EXPECT_EQ(::pipe(file.data()), 0);
  }
  ~Execution() {
    for (const auto& file : files_) {
      ::close(file[0]);
      ::close(file[1]);
    }
  }

  int submit(const Step& step) {
    for (const Instruction& one : step.instructions) fill(*ring_.get_sqe(), one);
    // What a refused SQE left in the SQ goes with the next call, as programs do it.
    int submitted = 0;
    while (ring_.sq_ready() > 0) {
      const int count = ring_.submit();
      if (count <= 0) return count;
      submitted += count;
    }
    return submitted;
  }

  void signal(const Step& step) {
    const std::uint64_t one = 1;
    for (const std::size_t file : step.signalled) {
      ASSERT_EQ(::write(files_[file][1], &one, 1), 1);
      ring_.kernel().relax(ring_.fd());  // a real kernel runs task work on the way out of write(2)
    }
  }

  /// Whatever there is; with `count`, waits until there are as many.
  std::vector<Seen> take(std::size_t count) {
    ring_.kernel().relax(ring_.fd());
    ring_.get_events();
    while (ring_.cq_ready() < count) {
      io_uring_cqe* cqe = nullptr;
      const unsigned before = ring_.cq_ready();
      ring_.submit_and_wait(static_cast<unsigned>(count), 500ms);
      if (ring_.cq_ready() == before) break;
      static_cast<void>(cqe);
    }
    std::vector<Seen> seen;
    while (io_uring_cqe* cqe = ring_.peek_cqe()) {
      seen.push_back({cqe->user_data, cqe->res, cqe->flags});
      ring_.cqe_seen(cqe);
    }
    return seen;
  }

 private:
  void fill(io_uring_sqe& sqe, const Instruction& one) {
    const int file = files_[one.file][0];
    switch (one.opcode) {
      case IORING_OP_READ:
        io_uring_prep_read(&sqe, file, &values_[one.user_data % values_.size()], 1, 0);
        break;
      case IORING_OP_WRITE:
        io_uring_prep_write(&sqe, files_[one.file][1], &one_, 1, 0);
        break;
      case IORING_OP_POLL_ADD:
        io_uring_prep_poll_add(&sqe, file, POLLIN);
        sqe.len = one.op_flags;
        break;
      case IORING_OP_TIMEOUT:
        io_uring_prep_timeout(&sqe, &hour_, one.count, one.op_flags);
        break;
      case IORING_OP_ASYNC_CANCEL:
        io_uring_prep_cancel64(&sqe, one.target, static_cast<int>(one.op_flags));
        if (one.op_flags & IORING_ASYNC_CANCEL_FD) sqe.fd = file;
        break;
      case IORING_OP_TIMEOUT_REMOVE:
        io_uring_prep_timeout_remove(&sqe, one.target, 0);
        break;
      case IORING_OP_POLL_REMOVE:
        if (one.op_flags == 0) {
          io_uring_prep_poll_remove(&sqe, one.target);
        } else {
          const bool events = one.op_flags == IORING_POLL_UPDATE_EVENTS;
          io_uring_prep_poll_update(&sqe, one.target, events ? 0 : one.user_data + 100, events ? POLLIN | POLLPRI : 0,
                                    one.op_flags);
        }
        break;
      default:
        io_uring_prep_nop(&sqe);
        break;
    }
    if (!one.valid) sqe.opcode = 250;
    sqe.flags = one.flags;
    sqe.user_data = one.user_data;
  }

  Ring ring_;
  std::array<std::array<int, 2>, kFiles> files_{};
  std::array<std::uint64_t, 64> values_{};
  std::uint64_t one_ = 1;
  __kernel_timespec hour_{.tv_sec = 3600, .tv_nsec = 0};
};

constexpr int kAttempts = 30;
constexpr int kRounds = 3;  // of reaping in each step: what one round's completions set off comes in the next

/// What a program did on one kernel.
struct History {
  std::vector<int> submitted;           // by each step
  std::vector<std::size_t> counts;      // of completions, in each round
  std::vector<std::vector<Seen>> seen;  // by each step that reaps
};

/// Runs the program; with `expected`, waits in each round for as many completions as it had there.
History run(Kernel& kernel, const Program& program, const History* expected = nullptr) {
  Execution execution(kernel, program);
  History history;
  for (const Step& step : program.steps) {
    history.submitted.push_back(execution.submit(step));
    execution.signal(step);
    if (!step.reaps) continue;
    std::vector<Seen>& seen = history.seen.emplace_back();
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<Seen> some = execution.take(expected ? expected->counts[history.counts.size()] : 0);
      history.counts.push_back(some.size());
      seen.insert(seen.end(), some.begin(), some.end());
    }
    if (!program.ordered) std::sort(seen.begin(), seen.end());
  }
  return history;
}

std::string describe(const History& history) {
  std::string text = "took";
  for (const int count : history.submitted) text += " " + std::to_string(count);
  for (const std::vector<Seen>& seen : history.seen) text += " |" + describe(seen);
  return text;
}

TEST(SimDifferential, GivesTheCompletionsOfTheRunningKernel) {
  const auto profile = find_profile("linux-running");
  if (!profile) GTEST_SKIP() << "no io_uring here: " << profile.error().message();
  int bad = 0;
  for (unsigned seed = 1; seed <= 3000 && bad <= 6; ++seed) {
    const Program program = Generator(seed).program();
    SimKernel sim({.profile = *profile, .strict = true});
    const History expected = run(sim, program);
    History real;
    bool same = false;
    for (int attempt = 0; attempt < kAttempts && !same; ++attempt) {
      real = run(LinuxKernel::instance(), program, &expected);
      same = real.seen == expected.seen && real.submitted == expected.submitted;
    }
    if (same) continue;
    ++bad;
    ADD_FAILURE() << "seed " << seed << ", " << kAttempts << " times\n"
                  << describe(program) << "sim  " << describe(expected) << "\nreal " << describe(real);
  }
}

}  // namespace
}  // namespace assay
