#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/result.h"
#include "assay/backend/uapi_names.h"

namespace assay {

/// Behaviours that changed between kernels without a feature bit of their own. Each has a row in `switch_table`, which
/// names it, says what it means and since when, and how a probe finds it out.
struct Semantics {
  /// A CQE for which the full CQ has no room is lost and counted in cq.koverflow (before 5.5), rather than kept.
  bool overflow_drops = false;
  /// enter(to_submit > 0) answers -EBUSY while the overflow backlog cannot be flushed in full (5.5 to 5.12).
  bool submit_ebusy_on_overflow = false;
  /// enter(GETEVENTS) answers -EBUSY, rather than wait, when the overflow backlog cannot be flushed in full and yet too
  /// few completions are there (5.12 to 6.1).
  bool wait_ebusy_on_overflow = false;
  /// After a completion was dropped, the next enter that would wait answers -EBADR, once (5.19).
  bool ebadr_after_drop = false;
  /// A multishot request ends, without IORING_CQE_F_MORE, rather than post into a full CQ (6.0).
  bool multishot_ends_on_overflow = false;
  /// The file of a linked SQE is looked up when it runs (5.18) rather than when it is submitted.
  bool linked_file_at_execution = false;
  /// A batch stops after an SQE that is refused at submission, unless IORING_SETUP_SUBMIT_ALL is set (5.5).
  bool batch_stops_at_bad_sqe = false;
  /// enter(to_submit = 0) under SQPOLL, as a wake-up is, answers -EOWNERDEAD where 0 is meant (5.12 and 5.13).
  bool sqpoll_eownerdead = false;
  /// SQPOLL works on registered files only (before 5.11).
  bool sqpoll_needs_fixed_files = false;
  /// Ring memory counts against RLIMIT_MEMLOCK (before 5.12).
  bool ring_memlock = false;
  /// Ring memory and memory regions count against RLIMIT_MEMLOCK once more (6.14 to 7.1).
  bool region_memlock = false;
  /// POLL_ADD takes IORING_POLL_ADD_MULTI, and POLL_REMOVE takes IORING_POLL_UPDATE_EVENTS and _USER_DATA (5.13).
  bool poll_multishot = false;
  /// TIMEOUT_REMOVE takes IORING_TIMEOUT_UPDATE (5.11).
  bool timeout_update = false;
  /// TIMEOUT takes IORING_TIMEOUT_BOOTTIME and _REALTIME (5.15).
  bool timeout_clocks = false;
  /// TIMEOUT takes IORING_TIMEOUT_ETIME_SUCCESS (5.16).
  bool timeout_etime_success = false;
  /// TIMEOUT takes IORING_TIMEOUT_MULTISHOT (6.4).
  bool timeout_multishot = false;
  /// ASYNC_CANCEL takes IORING_ASYNC_CANCEL_ALL, _FD and _ANY (5.19).
  bool cancel_matching = false;
  /// ASYNC_CANCEL takes IORING_ASYNC_CANCEL_OP and _USERDATA (6.6).
  bool cancel_by_op = false;
  /// ACCEPT takes IORING_ACCEPT_MULTISHOT (5.19).
  bool accept_multishot = false;
  /// ACCEPT takes IORING_ACCEPT_DONTWAIT and _POLL_FIRST (6.10).
  bool accept_dontwait = false;
  /// ACCEPT on an O_NONBLOCK socket waits all the same (6.2), rather than give -EAGAIN.
  bool nonblocking_accept_waits = false;
  /// SEND, RECV, SENDMSG and RECVMSG take IORING_RECVSEND_POLL_FIRST; completions of RECV may tell of
  /// IORING_CQE_F_SOCK_NONEMPTY (5.19).
  bool poll_first = false;
  /// RECV and RECVMSG take IORING_RECV_MULTISHOT (6.0).
  bool recv_multishot = false;
  /// With MSG_WAITALL a send or receive goes on until all of it is done (5.18), rather than once.
  bool waitall_retries = false;
  /// SEND_ZC takes IORING_SEND_ZC_REPORT_USAGE (6.2).
  bool send_zc_report = false;
  /// IORING_REGISTER_PBUF_RING takes IOU_PBUF_RING_MMAP (6.4).
  bool buffer_ring_mmap = false;
  /// The same takes IOU_PBUF_RING_INC (6.12).
  bool buffer_ring_incremental = false;
  /// The same takes io_uring_buf_reg::min_left for incremental rings (7.1).
  bool buffer_ring_min_left = false;
  /// URING_CMD has socket commands: SOCKET_URING_OP_SIOCINQ and the like (6.7).
  bool socket_commands = false;
  /// Operations that open and close take a slot of the file table: io_uring_sqe::file_index (5.15).
  bool direct_descriptors = false;
  /// The kernel chooses the slot for IORING_FILE_INDEX_ALLOC (5.19).
  bool direct_allocation = false;
  /// FSYNC, STATX and other operations that have been there for long refuse a file_index, which means nothing to them
  /// (5.15).
  bool second_descriptor_refused = false;
  /// A LINK_TIMEOUT that ended a wait for a futex or a child tells -ETIME (7.3), rather than how many it has ended.
  bool link_timeout_tells_etime = false;
  /// A NOP that does not find its file or buffer says so in its CQE (7.1), rather than only cut its chain.
  bool nop_tells_failure = false;
  /// NOP refuses flags that it does not know (6.10).
  bool nop_checks_flags = false;

  friend bool operator==(const Semantics&, const Semantics&) = default;
};

/// How a profile came to be.
enum class ProfileOrigin {
  /// From the history of the kernel's sources; such a kernel was not asked.
  kDocumented,
  /// By `assay probe` on the kernel itself.
  kRecorded,
};

/// What one kernel offers and how it behaves: all that a SimKernel needs to act as that kernel.
struct Profile {
  /// "linux-6.12.0" (documented), "linux-6.12" (recorded), "linux-running" (recorded just now, on this machine).
  std::string name;
  ProfileOrigin origin = ProfileOrigin::kDocumented;
  /// `uname -r` of the recorded kernel; empty for a documented one.
  std::string release;
  KernelVersion version;
  /// IORING_FEAT_*, IORING_SETUP_*, IORING_ENTER_* and IOSQE_* that this kernel knows.
  std::uint32_t features = 0;
  std::uint32_t setup_flags = 0;
  std::uint32_t enter_flags = 0;
  std::uint32_t sqe_flags = 0;
  /// IORING_OP_* and IORING_REGISTER_* by value.
  std::bitset<256> opcodes;
  std::bitset<256> register_ops;
  Semantics semantics;
  /// What was not tried but taken from the version: names of switches, and of bits as `bit_name` spells them.
  std::vector<std::string> assumed;

  friend bool operator==(const Profile&, const Profile&) = default;
};

/// One named switch of Semantics.
struct Switch {
  /// The member's name: "overflow_drops".
  std::string_view name;
  std::string_view meaning;
  /// The upstream releases in which it is on: from `since` until before `until`; {0, 0} in `until` is "to this day".
  KernelVersion since;
  KernelVersion until;
  bool Semantics::*member;
  /// The IORING_FEAT_* bit that tells programs of it, or 0, and whether the switch is on where that bit is set.
  std::uint32_t feature = 0;
  bool on_with_feature = true;

  /// Whether it is on in upstream's release `version`.
  bool on_in(KernelVersion version) const { return version >= since && (until == KernelVersion{} || version < until); }
};

/// All switches, in the order in which tables show them.
const std::vector<Switch>& switch_table();

/// What upstream's release `version` offers, by the tables of uapi_names.h and `switch_table`.
Profile documented_profile(std::string name, KernelVersion version);

/// Names of the profiles that can be opened: documented ones, recorded ones, and "linux-running".
std::vector<std::string> profile_names();

/// The profile of that name, or the one in the JSON file if the name has a '/' or ends in ".json". "linux-running"
/// probes the running kernel, once a process. EINVAL with a line that lists what there is; for "linux-running" whatever
/// io_uring_setup said.
Result<Profile> find_profile(std::string_view name);

/// JSON in the schema that `assay probe --json` and `assay profiles show NAME --json` print; the two are inverse.
std::string profile_to_json(const Profile& profile);
Result<Profile> profile_from_json(std::string_view json);

/// Gives (`on`) or takes a bit by name: an opcode, feature, setup, enter or SQE flag, register opcode or switch. The
/// name is the kernel's without IORING_OP_, IORING_FEAT_ … where that is unique, else with its class: "FEAT_EXT_ARG"
/// and "ENTER_EXT_ARG", "OP_FILES_UPDATE" and "REGISTER_FILES_UPDATE". A switch that a feature bit announces moves with
/// it, and the bit with the switch. EINVAL names what is unknown or ambiguous.
Result<void> set_profile_bit(Profile& profile, std::string_view bit, bool on);

/// The shortest name by which set_profile_bit finds this constant. `which` is one of the classes that a profile holds.
std::string bit_name(UapiClass which, const NamedValue& value);

}  // namespace assay
