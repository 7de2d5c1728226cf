// MSG_RING: completions and files that one ring sends to another.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr std::uint32_t kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
constexpr KernelVersion kSendsFilesSince{6, 0};

/// A message that becomes {data, length} on `target`; its own completion has user_data 1.
io_uring_sqe& prepare_message(Ring& ring, int target, unsigned length = 0, std::uint64_t data = 0) {
  io_uring_sqe& sqe = next_sqe(ring, 1);
  sqe.opcode = IORING_OP_MSG_RING;
  sqe.fd = target;
  sqe.len = length;
  sqe.off = data;
  return sqe;
}

/// The file in `slot` of this ring for `place` of the other's table: a slot plus one.
io_uring_sqe& prepare_file(Ring& ring, int target, unsigned slot, unsigned place, std::uint64_t data = 7) {
  io_uring_sqe& sqe = prepare_message(ring, target, 0, data);
  sqe.addr = uapi::kMsgSendFd;
  sqe.addr3 = slot;
  sqe.file_index = place;
  return sqe;
}

/// What a ring reads by a slot of its table.
std::int32_t read_slot(Ring& ring, int slot) {
  char bytes[8];
  iovec buffer{bytes, sizeof bytes};
  io_uring_sqe& sqe = next_sqe(ring, 2);
  io_uring_prep_readv(&sqe, slot, &buffer, 1, 0);
  sqe.user_data = 2;
  sqe.flags = IOSQE_FIXED_FILE;
  return run_one(ring).res;
}

/// Two rings, the first with one file in its table, the other with room for two.
struct Exchange {
  explicit Exchange(KernelUnderTest& kernel)
      : sender(open_ring(kernel)), receiver(open_ring(kernel)), file(make_file("four")) {
    const int fd = file.get();
    EXPECT_EQ(sender.register_files({&fd, 1}), 0);
    EXPECT_EQ(receiver.register_files_sparse(2), 0);
  }
  Ring sender;
  Ring receiver;
  Fd file;
};

}  // namespace

std::vector<Behaviour> ring_message_behaviours() {
  const std::string suite = "RingMessage";
  const Needs messages{.opcodes = {IORING_OP_MSG_RING}};
  const Needs files{.opcodes = {IORING_OP_MSG_RING}, .since = kSendsFilesSince};
  const Needs flags{.opcodes = {IORING_OP_MSG_RING}, .since = {6, 3}};
  const Needs nowhere{.register_ops = {uapi::kRegisterSendMsgRing}};
  return {
      {suite, "PostsACqeToAnotherRing", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         prepare_message(sender, receiver.fd(), 42, 0xabcd);
         EXPECT_EQ(run_one(sender), (Completion{1, 0, 0}));
         EXPECT_EQ(take(receiver), (Completion{0xabcd, 42, 0}));
       }},
      {suite, "KeepsTheOrderInWhichItWasSent", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         for (std::uint64_t i = 1; i <= 4; ++i) prepare_message(sender, receiver.fd(), 0, i);
         submit_all(sender);
         take(sender, 4);
         for (std::uint64_t i = 1; i <= 4; ++i) EXPECT_EQ(take(receiver).user_data, i);
       }},
      {suite, "CarriesANegativeResult", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         prepare_message(sender, receiver.fd(), static_cast<unsigned>(-EIO), 3);
         EXPECT_EQ(run_one(sender).res, 0) << "sending it was no failure";
         EXPECT_EQ(take(receiver), (Completion{3, -EIO, 0}));
       }},
      {suite, "ReachesTheRingThatSendsIt", messages,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_message(ring, ring.fd(), 5, 9);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 9), (Completion{9, 5, 0}));
         EXPECT_EQ(find(completions, 1), (Completion{1, 0, 0}));
       }},
      {suite, "GoesIntoTheBacklogOfAFullCq", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel, {.sq_entries = 8});
         Ring receiver = open_ring(kernel, {.sq_entries = 1});
         for (std::uint64_t i = 1; i <= 5; ++i) prepare_message(sender, receiver.fd(), 0, i);
         submit_all(sender);
         for (const Completion& completion : take(sender, 5)) EXPECT_EQ(completion.res, 0);
         for (std::uint64_t i = 1; i <= 5; ++i) EXPECT_EQ(take(receiver).user_data, i);
       }},
      {suite,
       "ReachesARingOfDeferredTaskWork",
       {.opcodes = {IORING_OP_MSG_RING}, .setup_flags = kDeferred},
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         prepare_message(sender, receiver.fd(), 7, 9);
         EXPECT_EQ(run_one(sender), (Completion{1, 0, 0}));
         EXPECT_EQ(take(receiver), (Completion{9, 7, 0}));
       }},
      {suite,
       "WaitsUntilARingOfDeferredTaskWorkAsksForIt",
       {.opcodes = {IORING_OP_MSG_RING}, .setup_flags = kDeferred, .since = {6, 12}},
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         prepare_message(sender, receiver.fd(), 7, 9);
         EXPECT_EQ(run_one(sender), (Completion{1, 0, 0}));
         EXPECT_EQ(receiver.cq_ready(), 0u);
         receiver.get_events();
         EXPECT_EQ(receiver.cq_ready(), 1u);
         take_ready(receiver);
       }},
      {suite, "RefusesAFdThatIsNoRing", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_message(sender, pipe.read_end.get());
         EXPECT_EQ(run_one(sender), (Completion{1, -EBADFD, 0}));
         prepare_message(sender, -1);
         sender.submit();
         EXPECT_EQ(take(sender), (Completion{1, -EBADF, 0}));
       }},
      {suite, "RefusesARegisteredFileThatIsNoRing", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         const Fd file = make_file("file");
         const int fd = file.get();
         ASSERT_EQ(sender.register_files({&fd, 1}), 0);
         prepare_message(sender, 0).flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(run_one(sender).res, -EBADFD);
       }},
      {suite,
       "RefusesARingThatIsDisabled",
       {.opcodes = {IORING_OP_MSG_RING}, .setup_flags = IORING_SETUP_R_DISABLED, .since = {6, 3}},
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_R_DISABLED});
         prepare_message(sender, receiver.fd());
         EXPECT_EQ(run_one(sender), (Completion{1, -EBADFD, 0}));
       }},
      {suite, "RefusesACommandThatItDoesNotKnow", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         prepare_message(sender, receiver.fd()).addr = 99;
         sender.submit();
         EXPECT_EQ(take(sender).res, -EINVAL);
         EXPECT_EQ(receiver.cq_ready(), 0u);
       }},
      {suite, "RefusesFieldsThatMeanNothingToIt", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         prepare_message(sender, receiver.fd()).buf_index = 1;
         sender.submit();
         EXPECT_EQ(take(sender).res, -EINVAL);
         prepare_message(sender, receiver.fd()).file_index = 3;
         sender.submit();
         EXPECT_EQ(take(sender).res, -EINVAL) << "data goes into no slot";
         prepare_message(sender, receiver.fd()).rw_flags = 1 << 10;
         sender.submit();
         EXPECT_EQ(take(sender).res, -EINVAL) << "there is no such flag";
         EXPECT_EQ(receiver.cq_ready(), 0u);
       }},
      {suite, "PassesFlagsOnWhenAsked", flags,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         io_uring_sqe& sqe = prepare_message(sender, receiver.fd(), 5, 9);
         sqe.rw_flags = static_cast<int>(uapi::kMsgRingFlagsPass);
         sqe.file_index = 0x30;
         EXPECT_EQ(run_one(sender).res, 0);
         EXPECT_EQ(take(receiver), (Completion{9, 5, 0x30}));
       }},
      {suite, "CannotSendDataWithoutACqe", files,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         Ring receiver = open_ring(kernel);
         prepare_message(sender, receiver.fd()).rw_flags = static_cast<int>(uapi::kMsgRingCqeSkip);
         EXPECT_EQ(run_one(sender).res, -EINVAL);
       }},
      {suite, "SendsARegisteredFile", files,
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         prepare_file(rings.sender, rings.receiver.fd(), 0, 2);
         EXPECT_EQ(run_one(rings.sender), (Completion{1, 0, 0}));
         EXPECT_EQ(take(rings.receiver), (Completion{7, 0, 0}));
         EXPECT_EQ(read_slot(rings.receiver, 1), 4);
         EXPECT_EQ(read_slot(rings.receiver, 0), -EBADF) << "only there";
         EXPECT_EQ(read_slot(rings.sender, 0), 4) << "the sender keeps it";
       }},
      {suite, "SendsAFileWithoutACqe", files,
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         prepare_file(rings.sender, rings.receiver.fd(), 0, 1).rw_flags = static_cast<int>(uapi::kMsgRingCqeSkip);
         EXPECT_EQ(run_one(rings.sender).res, 0);
         rings.receiver.get_events();
         EXPECT_EQ(rings.receiver.cq_ready(), 0u);
         EXPECT_EQ(read_slot(rings.receiver, 0), 4);
       }},
      {suite,
       "SendsAFileIntoASlotThatIsFree",
       {.opcodes = {IORING_OP_MSG_RING}, .since = {6, 3}},
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         prepare_file(rings.sender, rings.receiver.fd(), 0, ~0u);
         const std::int32_t slot = run_one(rings.sender).res;
         ASSERT_GE(slot, 0);
         EXPECT_EQ(take(rings.receiver), (Completion{7, slot, 0})) << "the receiver is told which";
         EXPECT_EQ(read_slot(rings.receiver, slot), 4);
         prepare_file(rings.sender, rings.receiver.fd(), 0, ~0u);
         EXPECT_EQ(run_one(rings.sender).res, 1 - slot);
         prepare_file(rings.sender, rings.receiver.fd(), 0, ~0u);
         EXPECT_EQ(run_one(rings.sender).res, -ENFILE) << "none is left";
       }},
      {suite, "TakesThePlaceOfTheFileThatWasThere", files,
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         const Fd other = make_file("longer");
         const int fd = other.get();
         ASSERT_EQ(rings.receiver.update_files(0, {&fd, 1}), 1);
         EXPECT_EQ(read_slot(rings.receiver, 0), 6);
         prepare_file(rings.sender, rings.receiver.fd(), 0, 1);
         EXPECT_EQ(run_one(rings.sender).res, 0);
         take(rings.receiver);
         EXPECT_EQ(read_slot(rings.receiver, 0), 4);
       }},
      {suite, "CannotSendAFileThatItDoesNotHave", files,
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         prepare_file(rings.sender, rings.receiver.fd(), 5, 1);
         EXPECT_EQ(run_one(rings.sender).res, -EBADF);
         Ring poor = open_ring(kernel);
         prepare_file(poor, rings.receiver.fd(), 0, 1);
         EXPECT_EQ(run_one(poor).res, -EBADF);
       }},
      {suite, "CannotSendAFileWhereThereIsNoPlace", files,
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         prepare_file(rings.sender, rings.receiver.fd(), 0, 9);
         EXPECT_EQ(run_one(rings.sender).res, -EINVAL);
         prepare_file(rings.sender, rings.receiver.fd(), 0, 0);
         EXPECT_EQ(run_one(rings.sender).res, -EINVAL) << "slots are counted from 1";
         Ring poor = open_ring(kernel);
         prepare_file(rings.sender, poor.fd(), 0, 1);
         EXPECT_EQ(run_one(rings.sender).res, -ENXIO) << "it has no table";
       }},
      {suite, "CannotSendAFileToItself", files,
       [](KernelUnderTest& kernel) {
         Exchange rings(kernel);
         prepare_file(rings.sender, rings.sender.fd(), 0, 1);
         EXPECT_EQ(run_one(rings.sender).res, -EINVAL);
       }},
      {suite, "CutsItsChainWhenItFails", messages,
       [](KernelUnderTest& kernel) {
         Ring sender = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_message(sender, pipe.read_end.get()).flags = IOSQE_IO_LINK;
         prepare_nop(sender, 2);
         sender.submit();
         const std::vector<Completion> completions = take(sender, 2);
         EXPECT_EQ(find(completions, 1).res, -EBADFD);
         EXPECT_EQ(find(completions, 2).res, -ECANCELED);
       }},
      {suite, "ComesFromNowhereByRegistration", nowhere,
       [](KernelUnderTest& kernel) {
         Ring receiver = open_ring(kernel);
         io_uring_sqe message{};
         message.opcode = IORING_OP_MSG_RING;
         message.fd = receiver.fd();
         message.len = 3;
         message.off = 4;
         EXPECT_EQ(kernel.kernel().register_op(-1, uapi::kRegisterSendMsgRing, &message, 1), 0);
         EXPECT_EQ(take(receiver), (Completion{4, 3, 0}));
       }},
      {suite, "PassesFlagsOnByRegistration", nowhere,
       [](KernelUnderTest& kernel) {
         Ring receiver = open_ring(kernel);
         io_uring_sqe message{};
         message.opcode = IORING_OP_MSG_RING;
         message.fd = receiver.fd();
         message.off = 4;
         message.rw_flags = static_cast<int>(uapi::kMsgRingFlagsPass);
         message.file_index = 0x30;
         EXPECT_EQ(kernel.kernel().register_op(-1, uapi::kRegisterSendMsgRing, &message, 1), 0);
         EXPECT_EQ(take(receiver), (Completion{4, 0, 0x30}));
       }},
      {suite, "RefusesByRegistrationWhatIsNoMessage", nowhere,
       [](KernelUnderTest& kernel) {
         Ring receiver = open_ring(kernel);
         io_uring_sqe message{};
         message.opcode = IORING_OP_MSG_RING;
         message.fd = receiver.fd();
         const auto send = [&](unsigned count = 1) {
           return kernel.kernel().register_op(-1, uapi::kRegisterSendMsgRing, &message, count);
         };
         EXPECT_EQ(send(2), -EINVAL);
         message.flags = IOSQE_ASYNC;
         EXPECT_EQ(send(), -EINVAL) << "no flags";
         message.flags = 0;
         message.opcode = IORING_OP_NOP;
         EXPECT_EQ(send(), -EINVAL);
         message.opcode = IORING_OP_MSG_RING;
         message.addr = uapi::kMsgSendFd;
         EXPECT_EQ(send(), -EINVAL) << "nowhere there are no files";
         message.addr = 0;
         const Pipe pipe = make_pipe();
         message.fd = pipe.read_end.get();
         EXPECT_EQ(send(), -EBADFD);
         message.fd = -1;
         EXPECT_EQ(send(), -EBADF);
         EXPECT_EQ(kernel.kernel().register_op(-1, uapi::kRegisterSendMsgRing, nullptr, 1), -EINVAL);
         EXPECT_EQ(kernel.kernel().register_op(-1, uapi::kRegisterSendMsgRing, reinterpret_cast<void*>(1), 1), -EFAULT);
         EXPECT_EQ(receiver.register_op(uapi::kRegisterSendMsgRing, &message, 1), -EINVAL) << "a ring sends by SQEs";
       }},
  };
}

}  // namespace assay::conformance
