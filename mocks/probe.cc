#include "assay/mocks/probe.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay {
namespace {

/// The oldest upstream release that has every bit of the profile's mask.
KernelVersion newest_since(UapiClass which, std::uint32_t mask) {
  KernelVersion newest{5, 1};
  for (const NamedValue& flag : uapi_table(which)) {
    if ((mask & flag.value) != 0) newest = std::max(newest, flag.since);
  }
  return newest;
}

KernelVersion newest_since(UapiClass which, const std::bitset<256>& opcodes) {
  KernelVersion newest{5, 1};
  for (const NamedValue& opcode : uapi_table(which)) {
    if (opcodes.test(opcode.value)) newest = std::max(newest, opcode.since);
  }
  return newest;
}

KernelVersion version_by_offer(const Profile& profile) {
  return std::max(
      {newest_since(UapiClass::kFeature, profile.features), newest_since(UapiClass::kSetupFlag, profile.setup_flags),
       newest_since(UapiClass::kEnterFlag, profile.enter_flags), newest_since(UapiClass::kSqeFlag, profile.sqe_flags),
       newest_since(UapiClass::kOpcode, profile.opcodes), newest_since(UapiClass::kRegisterOp, profile.register_ops)});
}

void name_release(const Kernel& kernel, Profile& profile) {
  profile.version = version_by_offer(profile);
  utsname system{};
  KernelVersion version;
  if (kernel.name() != "linux" || uname(&system) != 0) return;
  profile.release = system.release;
  if (std::sscanf(system.release, "%d.%d", &version.major, &version.minor) == 2) profile.version = version;
}

/// Gives the bits of a class that could not be tried as the release has them. What is newer than the release is absent,
/// which goes without saying.
void assume_bits(UapiClass which, std::bitset<256>& opcodes, Profile& profile) {
  for (const NamedValue& opcode : uapi_table(which)) {
    const auto untried = std::find(profile.assumed.begin(), profile.assumed.end(), bit_name(which, opcode));
    if (untried == profile.assumed.end()) continue;
    const bool has = opcode.since <= profile.version;
    opcodes.set(opcode.value, has);
    if (!has) profile.assumed.erase(untried);
  }
}

Result<Profile> probe_in_this_thread(Kernel& kernel, std::string name) {
  io_uring_params params{};
  const int ring_fd = kernel.setup(4, &params);
  if (ring_fd < 0) return Error::from_errno(ring_fd, "io_uring_setup");
  kernel.close(ring_fd);

  Profile profile;
  profile.name = std::move(name);
  profile.origin = ProfileOrigin::kRecorded;
  profile.features = params.features;
  internal::probe_setup_flags(kernel, profile);
  internal::probe_enter_flags(kernel, profile);
  internal::probe_sqe_flags(kernel, profile);
  internal::probe_opcodes(kernel, profile);
  internal::probe_register_ops(kernel, profile);
  name_release(kernel, profile);
  assume_bits(UapiClass::kOpcode, profile.opcodes, profile);
  assume_bits(UapiClass::kRegisterOp, profile.register_ops, profile);
  internal::probe_switches(kernel, profile);
  return profile;
}

}  // namespace

Result<Profile> probe(Kernel& kernel, std::string name) {
  // What io_uring keeps for a thread (workers, their affinity, registered rings) goes with the thread.
  std::optional<Result<Profile>> profile;
  std::thread([&] { profile = probe_in_this_thread(kernel, std::move(name)); }).join();
  return std::move(*profile);
}

}  // namespace assay
