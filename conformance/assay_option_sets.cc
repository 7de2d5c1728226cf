#include <array>
#include <string>
#include <vector>

#include "assay/conformance/assay_backend_adapter.h"

namespace assay::conformance {
namespace {

using C = Capability;
using namespace std::chrono_literals;

/// One combination. The name says what differs from the default.
struct OptionSet {
  const char* name;
  bool deferred = false;
  bool ring_fd = false;
  bool poll_cq = false;
  bool poll_sq = false;
  bool group = false;
  bool immediate = false;
  bool batching = false;
  bool sq_of_2 = false;
  bool cq_of_2 = false;
  bool ends_all = false;
  unsigned registered_fds = 0;
};

// DEFER_TASKRUN and SQPOLL exclude each other, as do batching and a CQ that holds no batch; all other pairs are here.
constexpr std::array kOptionSets = {
    OptionSet{.name = "deferred", .deferred = true},
    OptionSet{.name = "deferred_ring_fd_batching", .deferred = true, .ring_fd = true, .batching = true},
    OptionSet{.name = "deferred_poll_cq_sq_of_2", .deferred = true, .poll_cq = true, .sq_of_2 = true},
    OptionSet{.name = "deferred_cq_of_2_ends_all", .deferred = true, .cq_of_2 = true, .ends_all = true},
    OptionSet{.name = "poll_sq", .poll_sq = true},
    OptionSet{.name = "poll_sq_batching_sq_of_2_ends_all",
              .poll_sq = true,
              .batching = true,
              .sq_of_2 = true,
              .ends_all = true},
    OptionSet{
        .name = "poll_sq_poll_cq_ring_fd_cq_of_2", .ring_fd = true, .poll_cq = true, .poll_sq = true, .cq_of_2 = true},
    OptionSet{.name = "poll_sq_group_immediate_registered_fds",
              .poll_sq = true,
              .group = true,
              .immediate = true,
              .registered_fds = 64},
    OptionSet{.name = "poll_cq_batching_ends_all", .poll_cq = true, .batching = true, .ends_all = true},
    OptionSet{.name = "ring_fd_sq_of_2_cq_of_2_ends_all",
              .ring_fd = true,
              .sq_of_2 = true,
              .cq_of_2 = true,
              .ends_all = true},
    // Four slots are fewer than some behaviours have files, so that both ways are taken.
    OptionSet{.name = "registered_fds", .registered_fds = 4},
    OptionSet{.name = "deferred_batching_registered_fds", .deferred = true, .batching = true, .registered_fds = 64},
    OptionSet{.name = "poll_cq_sq_of_2_registered_fds", .poll_cq = true, .sq_of_2 = true, .registered_fds = 64},
};

CapabilitySet claims_of(const OptionSet& set) {
  CapabilitySet claims = CapabilitySet::all();
  // Behaviours of the whole interface choose options of their own.
  claims.erase(C::kReference);
  if (set.sq_of_2 || set.cq_of_2) {
    claims.erase(C::kChains);
    claims.erase(C::kTurnOrder);
  }
  // The poll thread looks when it likes, and where it has to wait for a processor a time limit comes first.
  if (set.poll_sq) {
    claims.erase(C::kPromptTurns);
    claims.erase(C::kFdEventTimeouts);
  }
  // Thousands by way of the poll thread and through two places take minutes on an emulated machine.
  if (set.poll_sq && set.cq_of_2) claims.erase(C::kBacklog);
  // The clock is read every so many spins only, and a batch is waited for.
  if (set.poll_cq || set.batching) {
    claims.erase(C::kExactTimers);
    claims.erase(C::kFdEventTimeouts);
  }
  return claims;
}

}  // namespace

std::vector<BackendSubject> assay_option_sets() {
  std::vector<BackendSubject> subjects;
  for (const OptionSet& set : kOptionSets) {
    BackendOptions options;
    options.defer_taskrun = set.deferred;
    options.register_ring_fd = set.ring_fd;
    options.poll_cq = set.poll_cq;
    options.poll_sq = set.poll_sq;
    if (set.group) options.sq_group_name = "suite";
    options.poll_sq_immediate_io = set.immediate;
    if (set.batching) {
      options.batch_size = 4;
      options.batch_timeout = 100us;
    }
    options.registered_fds = set.registered_fds;
    if (set.ends_all) options.when_dropped = WhenDropped::kEndAll;
    BackendSubject subject = assay_backend_subject(std::string("assay_") + set.name, options,
                                                   {.sq = set.sq_of_2 ? 2u : 0u, .cq = set.cq_of_2 ? 2u : 0u});
    subject.claims = claims_of(set);
    subjects.push_back(std::move(subject));
  }
  return subjects;
}

}  // namespace assay::conformance
