#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace assay::internal {

/// What a thread may do to files, as it stood when it was registered.
struct Credentials {
  uid_t user;
  gid_t group;
  std::vector<gid_t> groups;
  /// The capabilities in force: bits by CAP_*.
  std::uint64_t capabilities;
};

/// The credentials that were registered with one ring (IORING_REGISTER_PERSONALITY, 5.6), by the number that
/// io_uring_sqe::personality names them with.
class Personalities {
 public:
  /// Registers those of the calling thread. Their number, from 1 on; a number that was given back is not used again
  /// until all others were. -ENOSPC when there is none left.
  int add();
  /// 0, or -EINVAL where there is none of that number.
  int remove(unsigned id);
  /// Null where there is none. A request shares what it uses, so that it may be unregistered meanwhile.
  std::shared_ptr<const Credentials> find(unsigned id) const;

 private:
  std::map<unsigned, std::shared_ptr<const Credentials>> registered_;
  unsigned next_ = 1;
};

/// Makes the calling thread act on files with these credentials until the end of the scope, as far as the thread is
/// permitted: what it gave up for good since they were registered, only a kernel can lend it again.
class BorrowedCredentials {
 public:
  explicit BorrowedCredentials(const Credentials& credentials);
  BorrowedCredentials(const BorrowedCredentials&) = delete;
  BorrowedCredentials& operator=(const BorrowedCredentials&) = delete;
  ~BorrowedCredentials();

 private:
  Credentials own_;
  const bool others_;
};

}  // namespace assay::internal
