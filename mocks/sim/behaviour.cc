#include "assay/mocks/sim/behaviour.h"

#include <algorithm>
#include <vector>

namespace assay::internal {

namespace {

KernelVersion effective_version(const Profile& profile) {
  struct Mark {
    KernelVersion since;
    bool present;
  };
  std::vector<Mark> marks;
  for (const NamedValue& opcode : uapi_table(UapiClass::kOpcode)) {
    marks.push_back({opcode.since, opcode.value < profile.opcodes.size() && profile.opcodes[opcode.value]});
  }
  for (const NamedValue& feature : uapi_table(UapiClass::kFeature)) {
    marks.push_back({feature.since, (profile.features & feature.value) != 0});
  }
  std::stable_sort(marks.begin(), marks.end(),
                   [](const Mark& left, const Mark& right) { return left.since < right.since; });

  KernelVersion complete = profile.version;
  for (auto mark = marks.begin(); mark != marks.end();) {
    const auto next = std::find_if(mark, marks.end(), [&](const Mark& other) { return other.since != mark->since; });
    if (!std::all_of(mark, next, [](const Mark& other) { return other.present; })) break;
    complete = std::max(complete, mark->since);
    mark = next;
  }
  return complete;
}

}  // namespace

Behaviour::Behaviour(const Profile& profile)
    : version(effective_version(profile)),
      under_submission_waits(version < KernelVersion{5, 5}),
      has_cq_flags(version >= KernelVersion{5, 8}),
      has_overflow_flag(version >= KernelVersion{5, 8}),
      nonblocking_files_wait(version >= KernelVersion{5, 13}),
      refusal_by_operation_stops_batch(version >= KernelVersion{5, 12}),
      bad_sqe_keeps_chain(version >= KernelVersion{5, 16}),
      links_run_at_once(version < KernelVersion{5, 9}),
      poll_cancelled_from_task_work(version >= KernelVersion{5, 17}),
      timeout_cancelled_from_task_work(version >= KernelVersion{5, 16}),
      backlog_keeps_order(version >= KernelVersion{6, 0}),
      cq_rounded_before_comparison(version >= KernelVersion{5, 10}),
      timeouts_count_at_least_one(version < KernelVersion{5, 5}),
      deferred_task_work_in_passes(version >= KernelVersion{6, 8}),
      limits_deferred_task_work(version >= KernelVersion{6, 14}),
      negative_times_refused(version >= KernelVersion{5, 16}),
      failed_fsync_cuts_chain(version < KernelVersion{6, 0}),
      polls_watch_hangup(version >= KernelVersion{5, 8}) {}

}  // namespace assay::internal
