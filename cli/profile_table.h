#pragma once

#include <ostream>
#include <string>

#include "assay/mocks/profile.h"

namespace assay::cli {

/// "6.12".
std::string version_text(KernelVersion version);

/// A profile for people: what it offers and lacks of each class, what differs from the upstream release, and the
/// switches with how each is known.
void print_profile(const Profile& profile, std::ostream& out);

/// What `right` has and `left` has not, and the reverse, a line a bit: "+ SENDMSG_ZC", "- overflow_drops". Returns how
/// many lines there were.
int print_difference(const Profile& left, const Profile& right, std::ostream& out);

}  // namespace assay::cli
