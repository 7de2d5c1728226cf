// Personalities: credentials that are registered, and used by requests. Follows io_uring/register.c.

#include "assay/mocks/sim/registration/personality.h"

#include <sys/fsuid.h>

#include <cerrno>
#include <limits>

namespace assay::internal {

namespace {

constexpr unsigned kMaxId = std::numeric_limits<unsigned short>::max();

// There is no other way to ask: an id that nobody can take leaves things as they are.
Credentials own_credentials() {
  return {static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))),
          static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1)))};
}

// The user comes last where privileges go, and first where they come back: changing the group may need them.
void act_as(const Credentials& credentials) {
  static_cast<void>(::setfsuid(credentials.user));
  static_cast<void>(::setfsgid(credentials.group));
  static_cast<void>(::setfsuid(credentials.user));
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

BorrowedCredentials::BorrowedCredentials(const Credentials& credentials) : own_(own_credentials()) {
  act_as(credentials);
}

BorrowedCredentials::~BorrowedCredentials() { act_as(own_); }

}  // namespace assay::internal
