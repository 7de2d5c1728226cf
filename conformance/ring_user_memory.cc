// Addresses that lie in memory without the permission that is needed: a kernel answers -EFAULT, and nobody crashes.

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint16_t kGroup = 7;

/// Pages next to each other, whose permissions can be taken away one by one.
class Pages {
 public:
  explicit Pages(unsigned count)
      : count_(count),
        memory_(static_cast<char*>(
            ::mmap(nullptr, count * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { ::munmap(memory_, count_ * kPage); }

  char* at(unsigned page) const { return memory_ + page * kPage; }
  void forbid_writing(unsigned page) { ::mprotect(at(page), kPage, PROT_READ); }
  void forbid(unsigned page) { ::mprotect(at(page), kPage, PROT_NONE); }
  /// A value at the start of a page.
  template <typename T>
  T* make(unsigned page, const T& value) {
    return new (at(page)) T(value);
  }

 private:
  unsigned count_;
  char* memory_;
};

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

std::vector<Behaviour> request_behaviours() {
  const std::string suite = "RingUserMemory";
  return {
      {suite,
       "VectorMustBeReadable",
       {.opcodes = {IORING_OP_READV}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         char buffer[4];
         const iovec* vector = pages.make<iovec>(0, {buffer, sizeof buffer});
         pages.forbid(0);
         const Fd file = make_file("hello");
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_READV, file.get(), 1);
         sqe.addr = address_of(vector);
         sqe.len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite,
       "BufferMustBeWritable",
       {.opcodes = {IORING_OP_READ}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         pages.forbid_writing(0);
         const Fd file = make_file("hello");
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_READ, file.get(), 1);
         sqe.addr = address_of(pages.at(0));
         sqe.len = 4;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite,
       "PathMustBeReadable",
       {.opcodes = {IORING_OP_OPENAT}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         std::strcpy(pages.at(0), "/dev/null");
         pages.forbid(0);
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_OPENAT, AT_FDCWD, 1);
         sqe.addr = address_of(pages.at(0));
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite,
       "TimeMustBeReadable",
       {.opcodes = {IORING_OP_TIMEOUT}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         pages.forbid(0);
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_TIMEOUT, -1, 1);
         sqe.addr = address_of(pages.at(0));
         sqe.len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite,
       "HeaderOfAMessageMustBeWritable",
       {.opcodes = {IORING_OP_RECVMSG}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         char buffer[8] = {};
         iovec vector{buffer, 5};
         msghdr header{};
         header.msg_iov = &vector;
         header.msg_iovlen = 1;
         const msghdr* readable = pages.make(0, header);
         pages.forbid_writing(0);
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_RECVMSG, pair.far.get(), 1);
         sqe.addr = address_of(readable);
         sqe.len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
         EXPECT_STREQ(buffer, "hello") << "the message itself had been received by then";
       }},
      {suite,
       "NameOfASenderMustBeWritable",
       {.opcodes = {IORING_OP_RECVMSG}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         pages.forbid_writing(0);
         const BoundSocket receiver = make_udp_socket();
         const BoundSocket sender = make_udp_socket();
         ASSERT_EQ(::sendto(sender.socket.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&receiver.address),
                            sizeof receiver.address),
                   5);
         char buffer[8];
         iovec vector{buffer, sizeof buffer};
         msghdr header{};
         header.msg_name = pages.at(0);
         header.msg_namelen = sizeof(sockaddr_in);
         header.msg_iov = &vector;
         header.msg_iovlen = 1;
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_RECVMSG, receiver.socket.get(), 1);
         sqe.addr = address_of(&header);
         sqe.len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite,
       "RoomBeforeThePayloadMustBeWritable",
       {.opcodes = {IORING_OP_RECVMSG, IORING_OP_PROVIDE_BUFFERS}, .switches_on = {&Semantics::recv_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         // What is told of the message lies in the first page, and the message itself in the second.
         Pages pages(2);
         pages.forbid_writing(0);
         io_uring_sqe& provide = prepare_opcode(ring, IORING_OP_PROVIDE_BUFFERS, 1, 0);
         provide.addr = address_of(pages.at(1) - sizeof(io_uring_recvmsg_out));
         provide.len = sizeof(io_uring_recvmsg_out) + 8;
         provide.buf_group = kGroup;
         ASSERT_EQ(run_one(ring).res, 0);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         msghdr header{};
         io_uring_sqe& sqe = prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         sqe.opcode = IORING_OP_RECVMSG;
         sqe.addr = address_of(&header);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
  };
}

std::vector<Behaviour> registration_behaviours() {
  const std::string suite = "RingUserMemory";
  return {
      {suite,
       "ParametersMustBeWritable",
       {},
       [](KernelUnderTest& kernel) {
         Pages pages(1);
         io_uring_params* params = pages.make<io_uring_params>(0, {});
         pages.forbid_writing(0);
         EXPECT_EQ(kernel.kernel().setup(8, params), -EFAULT);
       }},
      {suite,
       "RegisteredBufferMustBeWritable",
       {.register_ops = {IORING_REGISTER_BUFFERS}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(2);
         iovec whole{pages.at(0), 2 * kPage};
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS, &whole, 1), 0);
         EXPECT_EQ(ring.register_op(IORING_UNREGISTER_BUFFERS, nullptr, 0), 0);
         pages.forbid_writing(1);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS, &whole, 1), -EFAULT);
       }},
      {suite,
       "RingOfBuffersMustBeWritable",
       {.register_ops = {IORING_REGISTER_PBUF_RING}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         pages.forbid_writing(0);
         io_uring_buf_reg request{};
         request.ring_addr = address_of(pages.at(0));
         request.ring_entries = 8;
         request.bgid = kGroup;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_PBUF_RING, &request, 1), -EFAULT);
       }},
      {suite,
       "StatusOfARingOfBuffersMustBeWritable",
       {.register_ops = {uapi::kRegisterPbufStatus}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         Pages pages(1);
         uapi::BufferStatus wanted{};
         wanted.buf_group = kGroup;
         uapi::BufferStatus* status = pages.make(0, wanted);
         EXPECT_EQ(ring.register_op(uapi::kRegisterPbufStatus, status, 1), 0);
         pages.forbid_writing(0);
         EXPECT_EQ(ring.register_op(uapi::kRegisterPbufStatus, status, 1), -EFAULT);
       }},
      {suite,
       "RegionMustBeWritable",
       {.register_ops = {uapi::kRegisterMemRegion}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         pages.forbid_writing(0);
         uapi::RegionDescription description{};
         description.user_addr = address_of(pages.at(0));
         description.size = kPage;
         description.flags = uapi::kRegionOfUser;
         uapi::MemRegion request{};
         request.region = address_of(&description);
         EXPECT_EQ(ring.register_op(uapi::kRegisterMemRegion, &request, 1), -EFAULT);
       }},
      {suite,
       "RingsOfTheUsersMustBeWritable",
       {.setup_flags = uapi::kSetupNoMmap},
       [](KernelUnderTest& kernel) {
         Pages pages(2);
         io_uring_params params{};
         params.flags = uapi::kSetupNoMmap | uapi::kSetupNoSqarray;
         // The last members of both, which the oldest headers call reserved.
         const std::uint64_t rings = address_of(pages.at(0));
         const std::uint64_t sqes = address_of(pages.at(1));
         std::memcpy(reinterpret_cast<char*>(&params.cq_off) + 32, &rings, sizeof rings);
         std::memcpy(reinterpret_cast<char*>(&params.sq_off) + 32, &sqes, sizeof sqes);
         pages.forbid_writing(1);
         EXPECT_EQ(kernel.kernel().setup(8, &params), -EFAULT);
       }},
      {suite,
       "QueryMustBeWritable",
       {.register_ops = {uapi::kRegisterQuery}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pages pages(1);
         uapi::Query* query = pages.make<uapi::Query>(0, {});
         pages.forbid_writing(0);
         EXPECT_EQ(ring.register_op(uapi::kRegisterQuery, query, 0), -EFAULT);
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_user_memory_behaviours() {
  std::vector<Behaviour> all = request_behaviours();
  for (Behaviour& each : registration_behaviours()) all.push_back(std::move(each));
  return all;
}

}  // namespace assay::conformance
