#pragma once

#include <memory>
#include <string>
#include <vector>

#include "assay/backend/ring.h"

namespace assay::internal {

/// How rings of one name share poll threads.
struct SqGroupOptions {
  /// Empty for a ring with a poll thread of its own.
  std::string name;
  /// Poll threads of the group.
  unsigned threads = 1;
  /// Where they run: the nth on the nth of these, and then round again. Empty leaves it to the scheduler.
  std::vector<unsigned> cpus;
};

/// A ring's place in a group, until it is destroyed or given up.
///
/// A group is known by its name, on each Kernel for itself, and lasts while it has a ring. Each of its subgroups has
/// one poll thread, which the kernel keeps as long as any ring of it lives; a ring that joins names one of these
/// (IORING_SETUP_ATTACH_WQ). So a ring must leave before it is closed. From any thread.
class SqGroupPlace {
 public:
  SqGroupPlace() noexcept;
  SqGroupPlace(SqGroupPlace&& other) noexcept;
  SqGroupPlace& operator=(SqGroupPlace&& other) noexcept;
  ~SqGroupPlace();

  /// Sets up a ring, whose options have IORING_SETUP_SQPOLL: in the subgroup with the fewest rings, on the poll thread
  /// that is there, or else with one of its own that is the subgroup's from then on. Without a name the thread is the
  /// ring's alone. Since Linux 5.11; before 5.10 rings shared workers only. Source: io_uring_setup(2).
  static Result<Ring> set_up(Kernel& kernel, const SqGroupOptions& options, RingOptions ring_options,
                             SqGroupPlace* place);

 private:
  struct Membership;

  std::unique_ptr<Membership> membership_;
};

}  // namespace assay::internal
