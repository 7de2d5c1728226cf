// FALLOCATE, FTRUNCATE, FADVISE, MADVISE, SYNC_FILE_RANGE, STATX and OPENAT2.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr std::uint64_t kCached = 0x20;  // RESOLVE_CACHED, which is newer than some headers

/// Submits what was prepared and returns how it ended.
int result(Ring& ring) { return run_one(ring).res; }

std::int64_t size_of(const Fd& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 ? status.st_size : -1;
}

/// What an ordinary system call says of the same: 0 or -errno.
int plain(long value) { return value < 0 ? -errno : static_cast<int>(value); }

io_uring_sqe& prepare_ftruncate(Ring& ring, int fd, std::int64_t bytes) {
  io_uring_sqe& sqe = next_sqe(ring);
  sqe.opcode = uapi::kOpFtruncate;
  sqe.fd = fd;
  sqe.off = static_cast<std::uint64_t>(bytes);
  return sqe;
}

/// A page of memory of the test's own.
class Page {
 public:
  Page() : bytes_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    address_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() { ::munmap(address_, bytes_); }

  char* data() const { return static_cast<char*>(address_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void* address_;
  std::size_t bytes_;
};

void add_length_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingFileLength";
  const Needs fallocate{.opcodes = {IORING_OP_FALLOCATE}};
  const Needs ftruncate{.opcodes = {uapi::kOpFtruncate}};
  const std::vector<Behaviour> added = {
      {suite, "AllocatesAndSoMakesAFileLonger", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 0, 4, 96);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(size_of(file), 100);
         EXPECT_EQ(file_content(file.get()).substr(0, 5), std::string("text\0", 5));
       }},
      {suite, "AllocatesBeyondTheEndWhenToldToKeepTheSize", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), FALLOC_FL_KEEP_SIZE, 0, 100);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(size_of(file), 4);
       }},
      {suite, "PunchesAHole", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(file_content(file.get()), std::string("01\0\0\0"
                                                         "56789",
                                                         10));
       }},
      {suite, "TellsWhyItCannotAllocate", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 0, 0, 0);
         EXPECT_EQ(result(ring), -EINVAL) << "nothing is to be allocated";
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 0, -1, 4);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 1 << 30, 0, 4);
         EXPECT_EQ(result(ring), -EOPNOTSUPP) << "an unknown mode";
         io_uring_prep_fallocate(&next_sqe(ring), pipe.write_end.get(), 0, 0, 4);
         EXPECT_EQ(result(ring), -ESPIPE);
         io_uring_prep_fallocate(&next_sqe(ring), pipe.read_end.get(), 0, 0, 4);
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_prep_fallocate(&next_sqe(ring), -1, 0, 0, 4);
         EXPECT_EQ(result(ring), -EBADF);
         EXPECT_EQ(size_of(file), 4);
       }},
      {suite, "RefusesToAllocateWithFieldsThatMeanNothing", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const auto spoiled = [&](void (*spoil)(io_uring_sqe & sqe)) {
           io_uring_sqe& sqe = next_sqe(ring);
           io_uring_prep_fallocate(&sqe, file.get(), 0, 0, 100);
           spoil(sqe);
           return result(ring);
         };
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.rw_flags = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.buf_index = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.ioprio = 1; }), -EINVAL);
         EXPECT_EQ(size_of(file), 4);
       }},
      {suite, "AllocatesInARegisteredFile", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_fallocate(&sqe, 0, 0, 0, 100);
         sqe.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(size_of(file), 100);
       }},
      {suite, "TruncatesAFile", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         prepare_ftruncate(ring, file.get(), 4);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(file_content(file.get()), "0123");
         prepare_ftruncate(ring, file.get(), 6);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(file_content(file.get()), std::string("0123\0\0", 6));
       }},
      {suite, "TellsWhyItCannotTruncate", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         const Fd readable(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
         prepare_ftruncate(ring, file.get(), -1);
         EXPECT_EQ(result(ring), -EINVAL);
         prepare_ftruncate(ring, pipe.write_end.get(), 4);
         EXPECT_EQ(result(ring), -EINVAL);
         prepare_ftruncate(ring, readable.get(), 4);
         EXPECT_EQ(result(ring), -EINVAL) << "open for reading only";
         prepare_ftruncate(ring, -1, 4);
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "RefusesToTruncateWithFieldsThatMeanNothing", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         const auto spoiled = [&](void (*spoil)(io_uring_sqe & sqe)) {
           spoil(prepare_ftruncate(ring, file.get(), 4));
           return result(ring);
         };
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.rw_flags = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.addr = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.len = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.buf_index = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.splice_fd_in = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.addr3 = 1; }), -EINVAL);
         EXPECT_EQ(size_of(file), 10);
       }},
      {suite, "GoesOnWithTheChainWhenTruncatingFails", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_sqe& sqe = prepare_ftruncate(ring, file.get(), -1);
         sqe.user_data = 1;
         sqe.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -EINVAL, 0}));
         EXPECT_EQ(take(ring), (Completion{2, 0, 0}));
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_advice_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingAdvice";
  const Needs fadvise{.opcodes = {IORING_OP_FADVISE}};
  const Needs madvise{.opcodes = {IORING_OP_MADVISE}};
  const std::vector<Behaviour> added = {
      {suite, "TakesAdviceOnAFile", fadvise,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         for (const int advice : {POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED,
                                  POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE}) {
           io_uring_prep_fadvise(&next_sqe(ring), file.get(), 0, 4, advice);
           EXPECT_EQ(result(ring), 0) << advice;
         }
         EXPECT_EQ(file_content(file.get()), "text");
       }},
      {suite, "RefusesUnknownAdviceOnAFile", fadvise,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         io_uring_prep_fadvise(&next_sqe(ring), file.get(), 0, 4, 77);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_fadvise(&next_sqe(ring), pipe.read_end.get(), 0, 4, POSIX_FADV_NORMAL);
         EXPECT_EQ(result(ring), -ESPIPE);
         io_uring_prep_fadvise(&next_sqe(ring), -1, 0, 4, POSIX_FADV_NORMAL);
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "CutsTheChainWhenAdviceOnAFileFails", fadvise,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_fadvise(&sqe, file.get(), 0, 4, 77);
         sqe.user_data = 1;
         sqe.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -EINVAL, 0}));
         EXPECT_EQ(take(ring), (Completion{2, -ECANCELED, 0}));
       }},
      {suite, "TakesAdviceOnMemory", madvise,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         page.data()[0] = 'x';
         io_uring_prep_madvise(&next_sqe(ring), page.data(), static_cast<off_t>(page.bytes()), MADV_WILLNEED);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(page.data()[0], 'x');
         io_uring_prep_madvise(&next_sqe(ring), page.data(), static_cast<off_t>(page.bytes()), MADV_DONTNEED);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(page.data()[0], '\0') << "the page was given back";
       }},
      {suite, "RefusesUnknownAdviceOnMemory", madvise,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_prep_madvise(&next_sqe(ring), page.data(), static_cast<off_t>(page.bytes()), 777);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_madvise(&next_sqe(ring), page.data() + 1, static_cast<off_t>(page.bytes()), MADV_NORMAL);
         EXPECT_EQ(result(ring), -EINVAL) << "it does not start with a page";
         io_uring_prep_madvise(&next_sqe(ring), reinterpret_cast<void*>(page.bytes()), static_cast<off_t>(page.bytes()),
                               MADV_DONTNEED);
         EXPECT_EQ(result(ring), -ENOMEM) << "nothing is mapped there";
       }},
      {suite, "RefusesAdviceWithABufferIndex", fadvise,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Page page;
         io_uring_sqe& on_file = next_sqe(ring);
         io_uring_prep_fadvise(&on_file, file.get(), 0, 4, POSIX_FADV_NORMAL);
         on_file.buf_index = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& on_memory = next_sqe(ring);
         io_uring_prep_madvise(&on_memory, page.data(), static_cast<off_t>(page.bytes()), MADV_NORMAL);
         on_memory.buf_index = 1;
         EXPECT_EQ(result(ring), -EINVAL);
       }},
      {suite,
       "TakesLengthsOf64BitsSinceLinux611",
       {.opcodes = {IORING_OP_MADVISE}, .since = {6, 11}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         page.data()[0] = 'x';
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_madvise(&sqe, page.data(), 0, MADV_DONTNEED);
         sqe.off = page.bytes();
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(page.data()[0], '\0');
         const Fd file = make_file("text");
         io_uring_sqe& on_file = next_sqe(ring);
         io_uring_prep_fadvise(&on_file, file.get(), 0, 0, POSIX_FADV_NORMAL);
         on_file.addr = 4;
         EXPECT_EQ(result(ring), 0);
       }},
      {suite,
       "RefusesLengthsOf64BitsBeforeLinux611",
       {.opcodes = {IORING_OP_MADVISE}, .until = {6, 11}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_madvise(&sqe, page.data(), 0, MADV_DONTNEED);
         sqe.off = page.bytes();
         EXPECT_EQ(result(ring), -EINVAL);
         const Fd file = make_file("text");
         io_uring_sqe& on_file = next_sqe(ring);
         io_uring_prep_fadvise(&on_file, file.get(), 0, 0, POSIX_FADV_NORMAL);
         on_file.addr = 4;
         EXPECT_EQ(result(ring), -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_sync_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingFiles";
  const Needs sync{.opcodes = {IORING_OP_SYNC_FILE_RANGE}};
  constexpr int kAllOfIt = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  const std::vector<Behaviour> added = {
      {suite, "SyncsARangeOfAFile", sync,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         const Fd file = folder.make("file", "text");
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 2, 1, kAllOfIt);
         EXPECT_EQ(result(ring), 0);
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 0, 0, 0);
         EXPECT_EQ(result(ring), 0);
       }},
      {suite, "TellsWhyARangeCannotBeSynced", sync,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 4, 0, 1 << 20);
         EXPECT_EQ(result(ring), -EINVAL) << "unknown flags";
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 4, static_cast<std::uint64_t>(-4), kAllOfIt);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_sync_file_range(&next_sqe(ring), pipe.read_end.get(), 4, 0, kAllOfIt);
         EXPECT_EQ(result(ring), -ESPIPE);
         io_uring_prep_sync_file_range(&next_sqe(ring), -1, 4, 0, kAllOfIt);
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "RefusesToSyncAtAnAddress", sync,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_sqe& with_address = next_sqe(ring);
         io_uring_prep_sync_file_range(&with_address, file.get(), 4, 0, kAllOfIt);
         with_address.addr = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& with_buffer = next_sqe(ring);
         io_uring_prep_fsync(&with_buffer, file.get(), 0);
         with_buffer.buf_index = 1;
         EXPECT_EQ(result(ring), -EINVAL);
       }},
      {suite,
       "RefusesAFileIndexWhereItMeansNothing",
       {.opcodes = {IORING_OP_STATX}, .switches_on = {&Semantics::second_descriptor_refused}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Page page;
         struct statx status {};
         const auto with_index = [&](void (*prepare)(io_uring_sqe * sqe, int fd, struct statx* status, char* memory)) {
           io_uring_sqe& sqe = next_sqe(ring);
           prepare(&sqe, file.get(), &status, page.data());
           sqe.file_index = 1;
           return result(ring);
         };
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) { io_uring_prep_fsync(sqe, fd, 0); }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) {
                     io_uring_prep_sync_file_range(sqe, fd, 4, 0, 0);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) {
                     io_uring_prep_fallocate(sqe, fd, 0, 0, 4);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) {
                     io_uring_prep_fadvise(sqe, fd, 0, 4, POSIX_FADV_NORMAL);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int, struct statx*, char* memory) {
                     io_uring_prep_madvise(sqe, memory, 4096, MADV_NORMAL);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int, struct statx* buffer, char*) {
                     io_uring_prep_statx(sqe, AT_FDCWD, "/", 0, STATX_TYPE, buffer);
                   }),
                   -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_statx_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingStatx";
  const Needs statx{.opcodes = {IORING_OP_STATX}};
  const std::vector<Behaviour> added = {
      {suite, "TellsOfAFile", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         struct statx status {};
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "file", 0, STATX_BASIC_STATS, &status);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(status.stx_size, 4u);
         EXPECT_TRUE(S_ISREG(status.stx_mode));
       }},
      {suite, "TellsOfALinkOrOfWhatItPointsTo", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         ASSERT_EQ(::symlinkat("file", folder.fd(), "link"), 0);
         struct statx status {};
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "link", 0, STATX_TYPE, &status);
         EXPECT_EQ(result(ring), 0);
         EXPECT_TRUE(S_ISREG(status.stx_mode));
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status);
         EXPECT_EQ(result(ring), 0);
         EXPECT_TRUE(S_ISLNK(status.stx_mode));
       }},
      {suite, "TellsOfAnOpenFileByAnEmptyPath", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         struct statx status {};
         io_uring_prep_statx(&next_sqe(ring), file.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(status.stx_size, 4u);
         io_uring_prep_statx(&next_sqe(ring), file.get(), "", 0, STATX_SIZE, &status);
         EXPECT_EQ(result(ring), -ENOENT);
       }},
      {suite, "TellsWhyItCannotTell", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         struct statx status {};
         auto* const nowhere = reinterpret_cast<struct statx*>(8);
         const auto* const no_path = reinterpret_cast<const char*>(8);
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "missing", 0, STATX_SIZE, &status);
         EXPECT_EQ(result(ring), -ENOENT);
         io_uring_prep_statx(&next_sqe(ring), -1, "file", 0, STATX_SIZE, &status);
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "file", 0, STATX_SIZE, nowhere);
         EXPECT_EQ(result(ring), -EFAULT);
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), no_path, 0, STATX_SIZE, &status);
         EXPECT_EQ(result(ring), -EFAULT);
       }},
      {suite, "RefusesUnknownFlagsAndMasks", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         struct statx status {};
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "file", 1 << 30, STATX_SIZE, &status);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "file", 0, 1u << 31, &status);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_statx(&next_sqe(ring), folder.fd(), "file", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE,
                             &status);
         EXPECT_EQ(result(ring), -EINVAL);
       }},
      {suite, "RefusesARegisteredFileForADirectory", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         struct statx status {};
         io_uring_sqe& fixed = next_sqe(ring);
         io_uring_prep_statx(&fixed, folder.fd(), "file", 0, STATX_SIZE, &status);
         fixed.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_sqe& both = next_sqe(ring);
         io_uring_prep_statx(&both, folder.fd(), "file", 0, STATX_SIZE, &status);
         both.flags = IOSQE_FIXED_FILE;
         both.buf_index = 1;
         EXPECT_EQ(result(ring), -EINVAL) << "fields are looked at before the flag is";
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_openat2_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingOpenat2";
  const Needs openat2{.opcodes = {IORING_OP_OPENAT2}};
  const std::vector<Behaviour> added = {
      {suite, "OpensAFile", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         open_how how{};
         how.flags = O_RDWR | O_CREAT | O_CLOEXEC;
         how.mode = 0640;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "file", &how);
         const Fd file(result(ring));
         ASSERT_GE(file.get(), 0);
         EXPECT_EQ(::fcntl(file.get(), F_GETFD), FD_CLOEXEC);
         write_text(file.get(), "text");
         EXPECT_EQ(folder.content("file"), "text");
       }},
      {suite, "KeepsToTheRulesOfResolution", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         ASSERT_EQ(::symlinkat("file", folder.fd(), "link"), 0);
         open_how how{};
         how.flags = O_RDONLY;
         how.resolve = RESOLVE_NO_SYMLINKS;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "link", &how);
         EXPECT_EQ(result(ring), -ELOOP);
         how.resolve = RESOLVE_BENEATH;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "../file", &how);
         EXPECT_EQ(result(ring), -EXDEV);
       }},
      {suite, "RefusesWhatOpenat2Refuses", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         open_how how{};
         how.flags = O_RDONLY;
         how.mode = 0640;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "file", &how);
         EXPECT_EQ(result(ring), -EINVAL) << "a mode, and nothing is made";
         how.mode = 0;
         how.flags = std::uint64_t{1} << 40;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "file", &how);
         EXPECT_EQ(result(ring), -EINVAL);
         how.flags = O_RDONLY;
         how.resolve = 1 << 30;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "file", &how);
         EXPECT_EQ(result(ring), -EINVAL);
       }},
      {suite, "ChecksTheSizeOfItsArgument", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         struct {
           open_how how;
           std::uint64_t more;
         } argument{};
         argument.how.flags = O_RDONLY | O_CLOEXEC;
         const auto with_bytes = [&](std::uint32_t bytes) {
           io_uring_sqe& sqe = next_sqe(ring);
           io_uring_prep_openat2(&sqe, folder.fd(), "file", &argument.how);
           sqe.len = bytes;
           return result(ring);
         };
         EXPECT_EQ(with_bytes(sizeof(open_how) - 1), -EINVAL);
         const Fd longer(with_bytes(sizeof argument));
         EXPECT_GE(longer.get(), 0) << "a longer one, with nothing in what is new";
         argument.more = 1;
         EXPECT_EQ(with_bytes(sizeof argument), -E2BIG);
         EXPECT_EQ(with_bytes(1 << 20), -E2BIG);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_openat2(&sqe, folder.fd(), "file", &argument.how);
         sqe.addr2 = 8;
         EXPECT_EQ(result(ring), -EFAULT);
       }},
      {suite, "LooksAtItsArgumentBeforeItsFields", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         open_how how{};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_openat2(&sqe, folder.fd(), "file", &how);
         sqe.addr2 = 8;
         sqe.buf_index = 1;
         EXPECT_EQ(result(ring), -EFAULT);
         io_uring_sqe& fixed = next_sqe(ring);
         io_uring_prep_openat2(&fixed, folder.fd(), "file", &how);
         fixed.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "OpensFromTheCacheOnlyWhenAskedTo", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         open_how how{};
         how.flags = O_RDONLY | O_CLOEXEC;
         how.resolve = kCached;
         const int by_call =
             plain(::syscall(SYS_openat2, folder.fd(), "file", &how, sizeof how));  // -EINVAL before 5.12
         const Fd called(by_call);
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "file", &how);
         const int by_ring = result(ring);
         const Fd opened(by_ring);
         EXPECT_EQ(by_ring < 0 ? by_ring : 0, by_call < 0 ? by_call : 0);
         how.flags = O_RDWR | O_CREAT | O_CLOEXEC;
         how.mode = 0640;
         io_uring_prep_openat2(&next_sqe(ring), folder.fd(), "new", &how);
         EXPECT_EQ(result(ring), by_call == -EINVAL ? -EINVAL : -EAGAIN) << "what is not there is in no cache";
         EXPECT_FALSE(folder.has("new"));
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_file_operations_behaviours() {
  std::vector<Behaviour> behaviours;
  add_length_behaviours(behaviours);
  add_advice_behaviours(behaviours);
  add_sync_behaviours(behaviours);
  add_statx_behaviours(behaviours);
  add_openat2_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
