#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/result.h"
#include "assay/backend/uapi_names.h"
#include "assay/mocks/semantics.h"

namespace assay {

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

/// Newer than any release.
inline constexpr KernelVersion kNoRelease{255, 0};

/// One named switch of Semantics.
struct Switch {
  /// The member's name: "overflow_drops".
  std::string_view name;
  std::string_view meaning;
  /// The upstream releases in which it is on: from `since` until before `until`; {0, 0} in `until` is "to this day".
  /// kNoRelease in `since`: no release is so by itself, and the switch is there to be given by name.
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

/// The newest upstream release all of whose opcodes and features, with those of the releases before it, the profile
/// has; at least `profile.version`. Distributions backport, so this is the release whose io_uring it is, not what
/// `uname -r` says.
KernelVersion effective_version(const Profile& profile);

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
