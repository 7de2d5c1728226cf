#include "assay/cli/profile_table.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "assay/cli/table.h"

namespace assay::cli {
namespace {

struct OfferedClass {
  UapiClass which;
  std::string_view title;
  std::string_view key;
};
constexpr std::array kOffered = {
    OfferedClass{UapiClass::kFeature, "features", "features"},
    OfferedClass{UapiClass::kSetupFlag, "setup flags", "setup_flags"},
    OfferedClass{UapiClass::kEnterFlag, "enter flags", "enter_flags"},
    OfferedClass{UapiClass::kSqeFlag, "SQE flags", "sqe_flags"},
    OfferedClass{UapiClass::kOpcode, "opcodes", "opcodes"},
    OfferedClass{UapiClass::kRegisterOp, "registrations", "register_ops"},
};

bool has_bit(const Profile& profile, UapiClass which, std::uint32_t value) {
  switch (which) {
    case UapiClass::kFeature:
      return (profile.features & value) != 0;
    case UapiClass::kSetupFlag:
      return (profile.setup_flags & value) != 0;
    case UapiClass::kEnterFlag:
      return (profile.enter_flags & value) != 0;
    case UapiClass::kSqeFlag:
      return (profile.sqe_flags & value) != 0;
    case UapiClass::kOpcode:
      return value < profile.opcodes.size() && profile.opcodes.test(value);
    case UapiClass::kRegisterOp:
      return value < profile.register_ops.size() && profile.register_ops.test(value);
    case UapiClass::kCqeFlag:
    case UapiClass::kSqRingFlag:
      return false;
  }
  return false;
}

/// Every value that a profile can have of the class, also those that have no name yet.
std::vector<std::uint32_t> values_of(UapiClass which) {
  std::vector<std::uint32_t> values;
  const bool opcodes = which == UapiClass::kOpcode || which == UapiClass::kRegisterOp;
  for (std::uint32_t i = 0; i < (opcodes ? 256u : 32u); ++i) values.push_back(opcodes ? i : std::uint32_t{1} << i);
  return values;
}

std::string value_name(UapiClass which, std::uint32_t value) {
  const bool opcode = which == UapiClass::kOpcode || which == UapiClass::kRegisterOp;
  return opcode ? uapi_name(which, value) : uapi_flags(which, value);
}

std::string bit_or_number(UapiClass which, std::uint32_t value) {
  const NamedValue* named = find_uapi(which, value);
  return named != nullptr ? bit_name(which, *named) : value_name(which, value);
}

bool is_assumed(const Profile& profile, std::string_view name) {
  return std::find(profile.assumed.begin(), profile.assumed.end(), name) != profile.assumed.end();
}

void append(std::string& list, const std::string& name) {
  if (!list.empty()) list += ' ';
  list += name;
}

void print_offer(const Profile& profile, std::ostream& out) {
  Table table({"OFFER", "COUNT", "NAMES"});
  for (const OfferedClass& offered : kOffered) {
    std::string has;
    std::string lacks;
    int count = 0;
    for (const std::uint32_t value : values_of(offered.which)) {
      if (has_bit(profile, offered.which, value)) {
        append(has, value_name(offered.which, value));
        ++count;
      } else if (find_uapi(offered.which, value) != nullptr) {
        append(lacks, value_name(offered.which, value));
      }
    }
    table.add_row({std::string(offered.title), std::to_string(count), has.empty() ? "none" : has});
    if (!lacks.empty()) table.add_row({"", "lacks", lacks});
  }
  table.print(out);
}

std::string how_known(const Profile& profile, const Switch& entry) {
  if (profile.origin == ProfileOrigin::kDocumented) return "documented";
  if (is_assumed(profile, entry.name)) return "assumed, as in " + version_text(effective_version(profile));
  if (entry.feature != 0) return "by FEAT_" + uapi_name(UapiClass::kFeature, entry.feature);
  return "tried";
}

std::string range_text(const Switch& entry) {
  if (entry.since == kNoRelease) return "none, by name only";
  std::string range = version_text(entry.since);
  range += entry.until == KernelVersion{} ? " -" : " - before " + version_text(entry.until);
  return range;
}

void print_switches(const Profile& profile, std::ostream& out) {
  Table table({"SWITCH", "VALUE", "KNOWN", "UPSTREAM", "MEANING"});
  for (const Switch& entry : switch_table()) {
    table.add_row({std::string(entry.name), profile.semantics.*entry.member ? "on" : "off", how_known(profile, entry),
                   range_text(entry), std::string(entry.meaning)});
  }
  table.print(out);
}

void print_assumed_bits(const Profile& profile, std::ostream& out) {
  std::string bits;
  for (const std::string& name : profile.assumed) {
    const auto is_it = [&name](const Switch& entry) { return entry.name == name; };
    if (std::none_of(switch_table().begin(), switch_table().end(), is_it)) append(bits, name);
  }
  if (!bits.empty()) out << "\nNot tried, but assumed as in " << version_text(profile.version) << ": " << bits << '\n';
}

/// Distributions backport: what a recorded kernel has beyond, or lacks of, the upstream release of its number.
void print_upstream_difference(const Profile& profile, std::ostream& out) {
  std::string difference;
  const Profile upstream = documented_profile({}, profile.version);
  for (const OfferedClass& offered : kOffered) {
    for (const std::uint32_t value : values_of(offered.which)) {
      const bool here = has_bit(profile, offered.which, value);
      if (here == has_bit(upstream, offered.which, value)) continue;
      append(difference, (here ? '+' : '-') + bit_or_number(offered.which, value));
    }
  }
  for (const Switch& entry : switch_table()) {
    const bool here = profile.semantics.*entry.member;
    if (here != entry.on_in(profile.version)) append(difference, (here ? '+' : '-') + std::string(entry.name));
  }
  out << "\nCompared with upstream's " << version_text(profile.version) << ": "
      << (difference.empty() ? "the same" : difference) << '\n';
}

}  // namespace

std::string version_text(KernelVersion version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

void print_profile(const Profile& profile, std::ostream& out) {
  const bool recorded = profile.origin == ProfileOrigin::kRecorded;
  out << profile.name << ": " << (recorded ? "recorded from a kernel" : "documented, by the history of the sources")
      << ", upstream " << version_text(profile.version);
  if (!profile.release.empty()) out << ", release " << profile.release;
  out << "\n\n";
  print_offer(profile, out);
  out << '\n';
  print_switches(profile, out);
  print_assumed_bits(profile, out);
  if (recorded) print_upstream_difference(profile, out);
}

std::vector<ClassDifference> compare_profiles(const Profile& left, const Profile& right) {
  std::vector<ClassDifference> difference;
  const auto note = [&difference](bool in_left, bool in_right, const std::string& name) {
    if (in_left != in_right) (in_right ? difference.back().more : difference.back().less).push_back(name);
  };
  for (const OfferedClass& offered : kOffered) {
    difference.push_back({offered.title, offered.key, {}, {}});
    for (const std::uint32_t value : values_of(offered.which)) {
      note(has_bit(left, offered.which, value), has_bit(right, offered.which, value), value_name(offered.which, value));
    }
  }
  difference.push_back({"switches", "semantics", {}, {}});
  for (const Switch& entry : switch_table()) {
    note(left.semantics.*entry.member, right.semantics.*entry.member, std::string(entry.name));
  }
  return difference;
}

void print_difference(const std::vector<ClassDifference>& difference, std::ostream& out) {
  for (const ClassDifference& each : difference) {
    for (const std::string& name : each.more) out << "+ " << each.title << ' ' << name << '\n';
    for (const std::string& name : each.less) out << "- " << each.title << ' ' << name << '\n';
  }
}

}  // namespace assay::cli
