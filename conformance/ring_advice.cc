// FADVISE and MADVISE.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

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

}  // namespace

std::vector<Behaviour> ring_advice_behaviours() {
  std::vector<Behaviour> behaviours;
  add_advice_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
