#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/backend/ring.h"
#include "assay/mocks/profile.h"

/// The parts of `probe`. Each fills its part of the profile; `profile.version` must be right before anything is
/// assumed.
namespace assay::internal {

/// The answer to "does this kernel have it?", or nothing where that could not be found out.
using Verdict = std::optional<bool>;

/// A ring that lasts for one trial. Not mapped: a trial that needs no SQE is a call or two.
class TrialRing {
 public:
  TrialRing(Kernel& kernel, std::uint32_t setup_flags);
  TrialRing(const TrialRing&) = delete;
  TrialRing& operator=(const TrialRing&) = delete;
  ~TrialRing();

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  Kernel& kernel_;
  int fd_;
};

/// A CQE as a trial remembers it. (SimKernel has a Completion of its own in this namespace.)
struct TrialCompletion {
  std::uint64_t user_data;
  int res;
  std::uint32_t flags;
};

/// A pair of files that is closed in the end.
class TrialFds {
 public:
  /// Connected sockets of AF_UNIX.
  static TrialFds sockets();
  /// The end to read from, and the one to write to.
  static TrialFds pipe(int flags = 0);
  TrialFds(const TrialFds&) = delete;
  TrialFds& operator=(const TrialFds&) = delete;
  ~TrialFds();

  explicit operator bool() const { return fds_[0] >= 0; }
  int operator[](std::size_t index) const { return fds_[index]; }

 private:
  explicit TrialFds(std::array<int, 2> fds) : fds_(fds) {}

  std::array<int, 2> fds_;
};

/// The next SQE of `ring`, which must have room, cleared but for these.
io_uring_sqe& next_sqe(Ring& ring, std::uint8_t opcode, std::uint64_t user_data);

/// The completions that are there, without any waiting.
std::vector<TrialCompletion> take_ready(Ring& ring);
/// Among them the one of this user_data, or nothing.
std::optional<TrialCompletion> find_completion(const std::vector<TrialCompletion>& among, std::uint64_t user_data);

/// Submits what was prepared on `ring` and collects completions until `count` are there, the kernel makes no progress
/// or a second is over.
std::vector<TrialCompletion> run_trial(Ring& ring, unsigned count);

/// The `res` of one SQE on a ring of its own, or nothing when it did not end. user_data is set to 1 beforehand.
std::optional<int> try_sqe(Kernel& kernel, const std::function<void(io_uring_sqe&)>& prepare);

/// True unless the answer is the one for what is unknown.
inline Verdict known_unless_einval(std::optional<int> answer) {
  if (!answer.has_value()) return std::nullopt;
  return *answer != -EINVAL;
}

/// What trying one switch showed.
struct SwitchTrial {
  bool Semantics::*member;
  Verdict verdict;
};
/// Those of setting a ring up.
std::vector<SwitchTrial> try_setup_switches(Kernel& kernel, KernelVersion version);
/// Those of submitting, posting and waiting.
std::vector<SwitchTrial> try_submission_switches(Kernel& kernel, std::uint32_t features);
/// Those of polls, timeouts and cancelations.
std::vector<SwitchTrial> try_request_switches(Kernel& kernel);
/// Those of provided buffers and of tags.
std::vector<SwitchTrial> try_buffer_switches(Kernel& kernel);
/// Those of sockets and of provided-buffer rings.
std::vector<SwitchTrial> try_socket_switches(Kernel& kernel);
/// Those of file operations and of futexes.
std::vector<SwitchTrial> try_file_switches(Kernel& kernel);

void probe_setup_flags(Kernel& kernel, Profile& profile);
void probe_enter_flags(Kernel& kernel, Profile& profile);
void probe_sqe_flags(Kernel& kernel, Profile& profile);
void probe_opcodes(Kernel& kernel, Profile& profile);
/// Asks only; what it cannot tell is assumed later, when the version is known.
void probe_register_ops(Kernel& kernel, Profile& profile);
void probe_switches(Kernel& kernel, Profile& profile);

/// What the kernel says of itself by IORING_REGISTER_QUERY (6.18).
struct QueryAnswer {
  std::uint32_t opcodes;
  std::uint32_t register_ops;
  std::uint64_t features;
  std::uint64_t setup_flags;
  std::uint64_t enter_flags;
  std::uint64_t sqe_flags;
};
std::optional<QueryAnswer> query_kernel(Kernel& kernel);

}  // namespace assay::internal
