#include "assay/mocks/profile.h"

#include <algorithm>
#include <cassert>
#include <fstream>
#include <sstream>
#include <utility>

#include "assay/backend/linux_kernel.h"
#include "assay/mocks/nearest_name.h"
#include "assay/mocks/probe.h"
#include "assay/mocks/recorded_profiles.h"

namespace assay {
namespace {

struct Documented {
  std::string_view name;
  KernelVersion version;
};

// Upstream releases that nobody ships any more as they were: the first; the last without NODROP, READ, WRITE and
// OPENAT; the first with them; the last without EXT_ARG and multishot polls; the last before task work could be put
// off; two that are kept for long. A third number tells a documented original from what distributions ship under that
// version, which a recorded profile of the shorter name describes.
constexpr Documented kDocumented[] = {
    {"linux-5.1", {5, 1}},   {"linux-5.4", {5, 4}}, {"linux-5.6", {5, 6}},     {"linux-5.10.0", {5, 10}},
    {"linux-5.15", {5, 15}}, {"linux-6.6", {6, 6}}, {"linux-6.12.0", {6, 12}},
};

constexpr std::string_view kRunning = "linux-running";

std::uint32_t flags_of(UapiClass which, KernelVersion version) {
  std::uint32_t mask = 0;
  for (const NamedValue& flag : uapi_table(which)) {
    if (flag.since <= version) mask |= flag.value;
  }
  return mask;
}

std::bitset<256> opcodes_of(UapiClass which, KernelVersion version) {
  std::bitset<256> opcodes;
  for (const NamedValue& opcode : uapi_table(which)) {
    if (opcode.since <= version) opcodes.set(opcode.value);
  }
  return opcodes;
}

/// Those in mocks/profiles/, recorded by `ci/matrix --record` on the kernels of their names.
const std::vector<Profile>& recorded() {
  static const std::vector<Profile> profiles = [] {
    std::vector<Profile> parsed;
    for (const std::string_view json : internal::recorded_profiles()) {
      Result<Profile> profile = profile_from_json(json);
      assert(profile && "a recording in mocks/profiles/ is no profile");
      if (profile) parsed.push_back(std::move(*profile));
    }
    return parsed;
  }();
  return profiles;
}

Result<Profile> read_profile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return Error::invalid("profile file '" + path + "' cannot be read");
  Result<Profile> profile = profile_from_json(text.str());
  if (!profile) return Error::invalid("profile file '" + path + "': " + profile.error().detail);
  return profile;
}

}  // namespace

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

Profile documented_profile(std::string name, KernelVersion version) {
  Profile profile;
  profile.name = std::move(name);
  profile.version = version;
  profile.features = flags_of(UapiClass::kFeature, version);
  profile.setup_flags = flags_of(UapiClass::kSetupFlag, version);
  profile.enter_flags = flags_of(UapiClass::kEnterFlag, version);
  profile.sqe_flags = flags_of(UapiClass::kSqeFlag, version);
  profile.opcodes = opcodes_of(UapiClass::kOpcode, version);
  profile.register_ops = opcodes_of(UapiClass::kRegisterOp, version);
  for (const Switch& entry : switch_table()) profile.semantics.*entry.member = entry.on_in(version);
  return profile;
}

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const Documented& documented : kDocumented) names.emplace_back(documented.name);
  for (const Profile& profile : recorded()) names.push_back(profile.name);
  names.emplace_back(kRunning);
  return names;
}

Result<Profile> find_profile(std::string_view name) {
  for (const Documented& documented : kDocumented) {
    if (documented.name == name) return documented_profile(std::string(name), documented.version);
  }
  for (const Profile& profile : recorded()) {
    if (profile.name == name) return profile;
  }
  if (name == kRunning) {
    static const Result<Profile> running = probe(LinuxKernel::instance(), std::string(kRunning));
    return running;
  }
  if (name.find('/') != std::string_view::npos || name.ends_with(".json")) return read_profile(std::string(name));

  const std::vector<std::string> names = profile_names();
  std::string known;
  for (const std::string& each : names) known += each + ", ";
  return Error::invalid("unknown profile '" + std::string(name) + "'" + did_you_mean(nearest_name(name, names)) +
                        " (there are " + known + "or a path to a .json file)");
}

}  // namespace assay
