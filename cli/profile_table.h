#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "assay/mocks/profile.h"

namespace assay::cli {

/// "6.12".
std::string version_text(KernelVersion version);

/// A profile for people: what it offers and lacks of each class, what differs from the upstream release, and the
/// switches with how each is known.
void print_profile(const Profile& profile, std::ostream& out);

/// Of one class, what one profile has and another has not, and the reverse.
struct ClassDifference {
  /// "setup flags" for people, "setup_flags" as the member of a profile's JSON.
  std::string_view title;
  std::string_view key;
  std::vector<std::string> more;
  std::vector<std::string> less;
};

/// What `right` has more and less than `left`: features, flags, opcodes, registrations and switches, a row a class.
std::vector<ClassDifference> compare_profiles(const Profile& left, const Profile& right);

/// A line a bit: "+ opcodes SENDMSG_ZC", "- switches overflow_drops".
void print_difference(const std::vector<ClassDifference>& difference, std::ostream& out);

}  // namespace assay::cli
