#include "assay/mocks/fuzz/seed.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/time_types.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <vector>

#include "assay/mocks/profile.h"

namespace assay::fuzz {

std::uint8_t number_of_profile(const std::string& name) {
  std::vector<std::string> names = profile_names();
  std::erase(names, "linux-running");
  return static_cast<std::uint8_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

Seed& Seed::memory() {
  const std::uint64_t vector[] = {kData, 100, kData + 0x1000, 200};
  write(kVector, vector, 0b0101);
  write(kTime, __kernel_timespec{.tv_sec = 0, .tv_nsec = 1000});
  write(kName, "file").write(kNewName, "new").write(kAttribute, "user.assay");
  sockaddr_un address{AF_UNIX, "socket"};
  write(kAddress, address);
  const std::uint64_t message[] = {0, 0, kVector, 2, kData + 0x2000, 64, 0};
  write(kMessage, message, 0b10100);
  epoll_event interest{};
  interest.events = EPOLLIN;
  write(kInterest, interest);
  const std::uint64_t waits[] = {0, kData, 2, 0, kData + 8, 2};
  write(kWaitVector, waits, 0b10010);
  open_how how{};
  how.flags = O_RDONLY;
  write(kHow, how);
  const std::int32_t numbers[] = {kEventfd, kStream, kPipeOut, kFile};
  write(kNumbers, numbers, 0, 0b1111);
  return *this;
}

}  // namespace assay::fuzz
