// Personalities: credentials that are registered, and used by requests. Follows io_uring/register.c.
//
// All of it is the calling thread's alone: setfsuid(2) and setfsgid(2) are anyhow, and setgroups(2) and capset(2) are
// where the C library, which would tell all threads, is not asked.

#include "assay/mocks/sim/registration/personality.h"

#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "assay/mocks/sim/capabilities.h"

namespace assay::internal {

namespace {

constexpr unsigned kMaxId = std::numeric_limits<unsigned short>::max();

std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(64);
  for (;;) {
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    if (count >= 0) {
      groups.resize(static_cast<std::size_t>(count));
      return groups;
    }
    if (errno != EINVAL) return {};
    groups.resize(2 * groups.size());
  }
}

// For fsuid and fsgid there is no other way to ask: an id that nobody can take leaves things as they are.
Credentials own_credentials() {
  return {static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))),
          static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))), own_groups(), effective_capabilities()};
}

bool are_same(const Credentials& left, const Credentials& right) {
  return left.user == right.user && left.group == right.group && left.groups == right.groups &&
         left.capabilities == right.capabilities;
}

void act_as(const Credentials& credentials, const std::vector<gid_t>& present_groups) {
  // Changing the rest takes privileges, and changing the user changes privileges. So they come first and last.
  set_effective_capabilities(permitted_capabilities());
  if (credentials.groups != present_groups) {
    static_cast<void>(::syscall(SYS_setgroups, credentials.groups.size(), credentials.groups.data()));
  }
  static_cast<void>(::setfsgid(credentials.group));
  static_cast<void>(::setfsuid(credentials.user));
  set_effective_capabilities(credentials.capabilities & permitted_capabilities());
}

}  // namespace

int Personalities::add() {
  if (registered_.size() >= kMaxId) return -ENOSPC;
  while (registered_.count(next_) != 0) next_ = next_ % kMaxId + 1;
  const unsigned id = next_;
  registered_.emplace(id, std::make_shared<const Credentials>(own_credentials()));
  next_ = next_ % kMaxId + 1;
  return static_cast<int>(id);
}

int Personalities::remove(unsigned id) { return registered_.erase(id) != 0 ? 0 : -EINVAL; }

std::shared_ptr<const Credentials> Personalities::find(unsigned id) const {
  const auto found = registered_.find(id);
  return found == registered_.end() ? nullptr : found->second;
}

BorrowedCredentials::BorrowedCredentials(const Credentials& credentials)
    : own_(own_credentials()), others_(!are_same(own_, credentials)) {
  if (others_) act_as(credentials, own_.groups);
}

BorrowedCredentials::~BorrowedCredentials() {
  if (others_) act_as(own_, own_groups());
}

}  // namespace assay::internal
