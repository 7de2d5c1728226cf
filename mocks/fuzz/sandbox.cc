#include "assay/mocks/fuzz/sandbox.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "assay/backend/uapi.h"
#include "assay/mocks/sim_kernel.h"

namespace assay::fuzz {

namespace {

/// Programs' descriptors are numbered from here on; what their requests open comes below.
constexpr int kFirstDescriptor = 100;
constexpr int kFirstNotStandard = 3;
constexpr rlim_t kMostFileBytes = 8 << 20;

std::string folder_path;
std::uint16_t port = 0;
bool closed = false;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "sim_kernel_fuzzer: %s: %s\n", what, std::strerror(errno));
  std::abort();
}

int require(int result, const char* what) {
  if (result < 0) die(what);
  return result;
}

void remove_contents(int folder) {
  DIR* const list = ::fdopendir(folder);
  if (list == nullptr) die("fdopendir");
  while (const dirent* entry = ::readdir(list)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(folder, entry->d_name, 0) == 0) continue;
    const int below = ::openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (below >= 0) remove_contents(below);
    ::unlinkat(folder, entry->d_name, AT_REMOVEDIR);
  }
  ::closedir(list);
}

void remove_folder() {
  if (::chdir("/") != 0) return;
  const int folder = ::open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) remove_contents(folder);
  ::rmdir(folder_path.c_str());
}

void make_folder() {
  // Memory rather than a disk, where there is some: FSYNC would wait for that.
  folder_path = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/assay-fuzz-XXXXXX" : "/tmp/assay-fuzz-XXXXXX";
  if (::mkdtemp(folder_path.data()) == nullptr) die("mkdtemp");
  require(::chdir(folder_path.c_str()), "chdir");
  std::atexit(remove_folder);
}

void make_file(const char* name, std::string_view text) {
  const int fd = require(::open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), name);
  if (::write(fd, text.data(), text.size()) < 0) die(name);
  ::close(fd);
}

int listen_on_loopback() {
  const int fd = require(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) != 0 || ::listen(fd, 8) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
    die("a listener on the loopback device");
  }
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

void Arena::reset() {
  void* const memory =
      ::mmap(data(), kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) die("mmap of the arena");
  if (::munmap(data() + kHole, kPage) != 0) die("munmap of the arena's hole");
}

bool Arena::contains(const void* address, std::size_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  const auto start = reinterpret_cast<std::uintptr_t>(data());
  if (first < start || first >= start + kBytes || bytes > start + kBytes - first) return false;
  // Whole pages, as mincore(2) sees them.
  const std::size_t begin = first - start;
  return begin + bytes <= kHole || begin >= kHole + kPage;
}

void Descriptors::keep(int fd) {
  require(fd, "a descriptor of the sandbox");
  fds_.push_back(require(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstDescriptor), "F_DUPFD"));
  ::close(fd);
}

void Descriptors::open() {
  fds_.clear();
  int pair[2];
  for (const int flags : {O_CLOEXEC, O_CLOEXEC | O_NONBLOCK}) {
    require(::pipe2(pair, flags), "pipe2");
    for (const int fd : pair) keep(fd);
  }
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    require(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), "socketpair");
    for (const int fd : pair) keep(fd);
  }
  keep(listen_on_loopback());
  keep(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  keep(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  keep(::eventfd(0, EFD_CLOEXEC));
  keep(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  keep(::epoll_create1(EPOLL_CLOEXEC));
  keep(::memfd_create("assay-fuzz", MFD_CLOEXEC));
  keep(::open("file", O_RDWR | O_CLOEXEC));
  keep(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  keep(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

void Descriptors::close_all() {
  // What is left of SimKernel's own lies from its floor on, and that must be nothing.
  const int floor = SimKernel::first_own_fd();
  const int lowest_free = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, floor);
  if (lowest_free != floor) die("SimKernel left a descriptor of its own behind");
  ::syscall(SYS_close_range, kFirstNotStandard, ~0u, 0);
}

void Descriptors::act(std::uint8_t what, std::size_t index, std::size_t bytes) const {
  static std::array<char, 4096> data{};
  const int fd = at(index);
  bytes = std::min(bytes, data.size());
  switch (what % 5) {
    case 0:
      if (::send(fd, data.data(), bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK) {
        const iovec vector{data.data(), bytes};
        static_cast<void>(!::pwritev2(fd, &vector, 1, -1, RWF_NOWAIT));
      }
      break;
    case 1:
      if (::recv(fd, data.data(), bytes, MSG_DONTWAIT) < 0 && errno == ENOTSOCK) {
        const iovec vector{data.data(), bytes};
        static_cast<void>(!::preadv2(fd, &vector, 1, -1, RWF_NOWAIT));
      }
      break;
    case 2:
      ::shutdown(fd, static_cast<int>(bytes % 3));
      break;
    case 3: {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(port);
      const int caller = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (caller >= 0) ::connect(caller, reinterpret_cast<sockaddr*>(&address), sizeof address);
      break;  // it stays open until the program is over
    }
    default:
      ::close(fd);
  }
}

void enter_sandbox() {
  ::signal(SIGPIPE, SIG_IGN);
  const rlimit file{kMostFileBytes, kMostFileBytes};
  require(::setrlimit(RLIMIT_FSIZE, &file), "RLIMIT_FSIZE");
  rlimit descriptors{};
  require(::getrlimit(RLIMIT_NOFILE, &descriptors), "RLIMIT_NOFILE");
  descriptors.rlim_cur = std::min<rlim_t>(descriptors.rlim_max, 4096);
  require(::setrlimit(RLIMIT_NOFILE, &descriptors), "RLIMIT_NOFILE");
  const int nothing = require(::open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
  require(::dup2(nothing, STDIN_FILENO), "dup2");
  // What was inherited is not the programs'.
  ::syscall(SYS_close_range, kFirstNotStandard, ~0u, 0);
  make_folder();
  void* const memory = ::mmap(Arena::data(), Arena::kBytes, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
  if (memory != Arena::data()) die("the arena's place is taken");
  // Once a process SimKernel finds out, on memory of its own, how it may ask what is whose.
  SimKernel kernel({.profile = documented_profile("linux-6.12", {6, 12})});
  io_uring_params params{};
  kernel.close(require(kernel.setup(4, &params), "a ring"));
  closed = true;
}

void reset_folder() {
  // Files that would be too long are refused rather than fatal; libFuzzer has a handler of its own.
  ::signal(SIGXFSZ, SIG_IGN);
  remove_contents(require(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "the folder"));
  make_file("file", "what stands in a file");
  make_file("other", "");
  require(::mkdir("folder", 0700), "folder");
}

bool is_safe_path(const char* path) {
  const std::string_view text = path;
  if (text.starts_with('/')) return false;
  return text.find("..") == std::string_view::npos;
}

bool is_closed() { return closed; }

std::uint16_t listener_port() { return port; }

}  // namespace assay::fuzz
