// Writes the programs from which the fuzzer of SimKernel starts:
//
//   sim_kernel_fuzzer_seeds FOLDER
//
// One for each opcode with arguments that mean something, one for each registration, and some for the kinds of rings.
// Each is there for an old kernel, one in between and the newest.

#include <linux/openat2.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/fuzz/program.h"
#include "assay/mocks/fuzz/seed.h"
#include "assay/mocks/profile.h"

namespace assay::fuzz {

namespace {

struct Meant {
  io_uring_sqe sqe{};
  std::uint8_t addresses = 0;
  std::uint16_t descriptors = kFdIsGiven;
};

/// An SQE of this opcode that a kernel would take.
Meant opcode_sqe(std::uint8_t opcode) {
  Meant meant;
  io_uring_sqe& sqe = meant.sqe;
  sqe.opcode = opcode;
  sqe.user_data = opcode;
  sqe.fd = kStream;
  const auto buffer = [&](std::uint64_t address, std::uint32_t bytes) {
    sqe.addr = address;
    sqe.len = bytes;
    meant.addresses |= kAddrIsAddress;
  };
  const auto second = [&](std::uint64_t address) {
    sqe.off = address;
    meant.addresses |= kOffIsAddress;
  };
  switch (opcode) {
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
    case uapi::kOpReadvFixed:
    case uapi::kOpWritevFixed:
      buffer(kVector, 2);
      break;
    case IORING_OP_POLL_ADD:
      sqe.poll32_events = EPOLLIN;
      break;
    case IORING_OP_FSYNC:
    case IORING_OP_SYNC_FILE_RANGE:
    case IORING_OP_FALLOCATE:
    case IORING_OP_FADVISE:
    case uapi::kOpFtruncate:
      sqe.fd = kFile;
      break;
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
    case IORING_OP_SENDMSG_ZC:
      buffer(kMessage, 1);
      break;
    case IORING_OP_TIMEOUT:
    case IORING_OP_LINK_TIMEOUT:
      buffer(kTime, 1);
      sqe.fd = -1;
      meant.descriptors = 0;
      break;
    case IORING_OP_TIMEOUT_REMOVE:
      sqe.addr = IORING_OP_TIMEOUT;
      second(kTime);
      sqe.timeout_flags = IORING_TIMEOUT_UPDATE;
      meant.descriptors = 0;
      break;
    case IORING_OP_ACCEPT:
      sqe.fd = kListener;
      break;
    case IORING_OP_CONNECT:
    case uapi::kOpBind:
      buffer(kAddress, 0);
      sqe.off = sizeof(sockaddr_un);
      break;
    case IORING_OP_OPENAT:
    case IORING_OP_UNLINKAT:
    case IORING_OP_MKDIRAT:
      sqe.fd = kFolder;
      buffer(kName, 0);
      break;
    case IORING_OP_OPENAT2:
      sqe.fd = kFolder;
      buffer(kName, sizeof(open_how));
      second(kHow);
      break;
    case IORING_OP_RENAMEAT:
    case IORING_OP_SYMLINKAT:
    case IORING_OP_LINKAT:
      sqe.fd = kFolder;
      buffer(kName, opcode == IORING_OP_SYMLINKAT ? 0u : static_cast<std::uint32_t>(AT_FDCWD));
      second(kNewName);
      break;
    case IORING_OP_STATX:
      sqe.fd = kFolder;
      buffer(kName, 0xfff);
      second(kData);
      break;
    case IORING_OP_FSETXATTR:
    case IORING_OP_FGETXATTR:
    case IORING_OP_SETXATTR:
    case IORING_OP_GETXATTR:
      sqe.fd = kFile;
      buffer(kAttribute, 16);
      second(kData);
      sqe.addr3 = kName;
      meant.addresses |= kAddr3IsAddress;
      break;
    case IORING_OP_FILES_UPDATE:
      buffer(kNumbers, 2);
      break;
    case IORING_OP_MADVISE:
      buffer(kData + 0x3000, 4096);
      sqe.fadvise_advice = 4;
      break;
    case IORING_OP_EPOLL_CTL:
      sqe.fd = kEpoll;
      buffer(kInterest, EPOLL_CTL_ADD);
      sqe.off = kEventfd;
      meant.descriptors |= kOffIsGiven;
      break;
    case uapi::kOpEpollWait:
      sqe.fd = kEpoll;
      buffer(kData, 4);
      break;
    case IORING_OP_SPLICE:
    case IORING_OP_TEE:
      sqe.fd = kNonblockingPipeIn;
      sqe.splice_fd_in = kPipeOut;
      sqe.len = 100;
      if (opcode == IORING_OP_SPLICE) sqe.off = sqe.splice_off_in = ~0ull;
      meant.descriptors |= kOtherFdIsGiven;
      break;
    case IORING_OP_PROVIDE_BUFFERS:
      sqe.fd = 4;
      meant.descriptors = 0;
      buffer(kData, 512);
      break;
    case IORING_OP_REMOVE_BUFFERS:
      sqe.fd = 2;
      meant.descriptors = 0;
      break;
    case IORING_OP_CLOSE:
      sqe.fd = kDatagram;
      break;
    case IORING_OP_SOCKET:
      sqe.fd = AF_UNIX;
      sqe.off = SOCK_STREAM;
      meant.descriptors = 0;
      break;
    case IORING_OP_MSG_RING:
      sqe.fd = kFirstRing;
      break;
    case IORING_OP_URING_CMD:
      break;
    case uapi::kOpWaitid:
      sqe.fd = 0;
      sqe.file_index = 4;  // WEXITED
      second(kData);
      meant.descriptors = 0;
      break;
    case uapi::kOpFutexWait:
    case uapi::kOpFutexWake:
      sqe.fd = 2;
      buffer(kData, 0);
      sqe.addr3 = 0xffffffff;
      meant.descriptors = 0;
      break;
    case uapi::kOpFutexWaitv:
      sqe.fd = 0;
      buffer(kWaitVector, 2);
      meant.descriptors = 0;
      break;
    case uapi::kOpPipe:
      sqe.fd = 0;
      buffer(kNumbers, 0);
      meant.descriptors = 0;
      break;
    case IORING_OP_NOP:
    case IORING_OP_ASYNC_CANCEL:
    case IORING_OP_POLL_REMOVE:
      meant.descriptors = 0;
      break;
    default:
      buffer(kData, 100);
  }
  return meant;
}

using Seeds = std::vector<std::pair<std::string, std::string>>;

void add_opcodes(Seeds& seeds, const std::string& profile) {
  for (unsigned opcode = 0; opcode <= uapi::kOpUringCmd128; ++opcode) {
    const Meant meant = opcode_sqe(static_cast<std::uint8_t>(opcode));
    Seed seed(profile);
    seed.memory().setup().sqe(meant.sqe, meant.addresses, meant.descriptors).enter(1, 0);
    seed.outside(0, kOtherStream, 64).outside(0, kPipeIn, 64).outside(3, kListener, 0).enter(0).plain(Action::kReap);
    // The same from a worker, limited by a time, and cancelled.
    Meant limited = meant;
    limited.sqe.flags |= IOSQE_ASYNC | IOSQE_IO_LINK;
    seed.sqe(limited.sqe, limited.addresses, limited.descriptors);
    const Meant time = opcode_sqe(IORING_OP_LINK_TIMEOUT);
    seed.sqe(time.sqe, time.addresses, time.descriptors).enter(2);
    seed.sqe(meant.sqe, meant.addresses, meant.descriptors);
    Meant cancel = opcode_sqe(IORING_OP_ASYNC_CANCEL);
    cancel.sqe.addr = opcode;
    seed.sqe(cancel.sqe).enter(2, 2).plain(Action::kRelax).plain(Action::kClose);
    seeds.emplace_back("opcode-" + std::to_string(opcode), seed.text());
  }
}

void add_registrations(Seeds& seeds, const std::string& profile) {
  {
    Seed seed(profile);
    const std::int32_t files[] = {kStream, kFile, -1, kPipeOut};
    const std::uint64_t vectors[] = {kData, 4096, kData + 0x2000, 4096};
    const std::int32_t eventfd = kEventfd;
    seed.memory().setup();
    seed.register_op(IORING_REGISTER_FILES, files, 4, 0, 0b1011);
    seed.register_op(IORING_REGISTER_BUFFERS, vectors, 2, 0b0101);
    seed.register_op(IORING_REGISTER_EVENTFD, eventfd, 1, 0, 1);
    Meant fixed = opcode_sqe(IORING_OP_WRITE_FIXED);
    fixed.sqe.flags = IOSQE_FIXED_FILE;
    fixed.sqe.fd = 1;
    seed.sqe(fixed.sqe, fixed.addresses).enter(1);
    io_uring_files_update update{.offset = 2, .resv = 0, .fds = kNumbers};
    seed.register_op(IORING_REGISTER_FILES_UPDATE, update, 2, 0b10);
    seed.register_nothing(IORING_UNREGISTER_FILES).register_nothing(IORING_UNREGISTER_BUFFERS);
    seeds.emplace_back("files-and-buffers", seed.text());
  }
  {
    Seed seed(profile);
    seed.memory().setup(IORING_SETUP_R_DISABLED);
    const io_uring_rsrc_register sparse{
        .nr = 8, .flags = IORING_RSRC_REGISTER_SPARSE, .resv2 = 0, .data = 0, .tags = 0};
    seed.register_op(IORING_REGISTER_FILES2, sparse, sizeof sparse);
    const io_uring_rsrc_register buffers{.nr = 2, .flags = 0, .resv2 = 0, .data = kVector, .tags = kData};
    seed.register_op(IORING_REGISTER_BUFFERS2, buffers, sizeof buffers, 0b1100);
    io_uring_rsrc_update2 update{};
    update.data = kVector;
    update.tags = kData;
    update.nr = 2;
    seed.register_op(IORING_REGISTER_BUFFERS_UPDATE, update, sizeof update, 0b110);
    update.data = kNumbers;
    seed.register_op(IORING_REGISTER_FILES_UPDATE2, update, sizeof update, 0b110);
    const io_uring_file_index_range range{.off = 1, .len = 4, .resv = 0};
    seed.register_op(IORING_REGISTER_FILE_ALLOC_RANGE, range, 0);
    const std::uint64_t restrictions[] = {0x000000010000, 0, 0x00000000ff02, 0};
    seed.register_op(IORING_REGISTER_RESTRICTIONS, restrictions, 2).register_nothing(IORING_REGISTER_ENABLE_RINGS);
    seeds.emplace_back("tables-and-restrictions", seed.text());
  }
  {
    Seed seed(profile);
    seed.memory().setup();
    io_uring_buf_reg group{};
    group.ring_addr = kBufferRing;
    group.ring_entries = 4;
    seed.register_op(IORING_REGISTER_PBUF_RING, group, 1, 0b1);
    for (std::uint32_t number = 0; number < 4; ++number) {
      const std::uint64_t entry[] = {kData + number * 1024, 1024 | std::uint64_t{number} << 32};
      seed.write(kBufferRing + number * 16, entry, 0b01);
    }
    seed.write(kBufferRing + 14, std::uint16_t{4});
    Meant receive = opcode_sqe(IORING_OP_RECV);
    receive.sqe.flags = IOSQE_BUFFER_SELECT;
    receive.sqe.ioprio = IORING_RECV_MULTISHOT;
    receive.sqe.addr = receive.sqe.len = 0;
    seed.sqe(receive.sqe, 0, kFdIsGiven).enter(1, 0);
    seed.outside(0, kOtherStream, 100).enter(0).outside(0, kOtherStream, 2000).enter(0);
    Meant read = opcode_sqe(IORING_OP_READ);
    read.sqe.flags = IOSQE_BUFFER_SELECT;
    read.sqe.fd = kFile;
    seed.sqe(read.sqe, 0, kFdIsGiven).enter(1);
    const uapi::BufferStatus status{};
    seed.register_op(uapi::kRegisterPbufStatus, status, 1);
    group = {};
    seed.register_op(IORING_UNREGISTER_PBUF_RING, group, 1);
    seeds.emplace_back("buffer-ring", seed.text());
  }
  {
    Seed seed(profile);
    seed.memory().setup();
    const std::uint8_t zeros[64]{};
    const std::uint32_t workers[] = {4, 4};
    seed.register_op(IORING_REGISTER_PROBE, zeros, 6);
    seed.register_nothing(IORING_REGISTER_PERSONALITY).register_nothing(IORING_UNREGISTER_PERSONALITY, 1);
    seed.register_op(IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2);
    seed.register_op(IORING_REGISTER_IOWQ_AFF, workers, 8).register_nothing(IORING_UNREGISTER_IOWQ_AFF);
    seed.register_op(uapi::kRegisterNapi, zeros, 1).register_op(uapi::kRegisterClock, uapi::ClockRegister{7, {}}, 0);
    const std::uint32_t ring_fd[] = {~0u, 0, kFirstRing, 0};
    seed.register_op(IORING_REGISTER_RING_FDS, ring_fd, 1, 0, 0b100);
    const std::uint32_t ring_index[] = {0, 0, 0, 0};
    seed.register_op(IORING_UNREGISTER_RING_FDS, ring_index, 1);
    uapi::Query query{};
    query.query_data = kData;
    query.size = 64;
    seed.register_op(uapi::kRegisterQuery, query, 0, 0b10);
    const std::uint64_t cancel[] = {7, 0, ~0ull, ~0ull, 0, 0, 0, 0};
    seed.register_op(IORING_REGISTER_SYNC_CANCEL, cancel, 1);
    uapi::CloneBuffers clone{};
    clone.src_fd = kFirstRing;
    seed.register_op(uapi::kRegisterCloneBuffers, clone, 1, 0, 1);
    io_uring_sqe message{};
    message.opcode = IORING_OP_MSG_RING;
    message.fd = kFirstRing;
    seed.register_op(uapi::kRegisterSendMsgRing, message, 1, 0, kFdIsGiven);
    seeds.emplace_back("other-registrations", seed.text());
  }
}

void add_rings(Seeds& seeds, const std::string& profile) {
  constexpr std::uint32_t kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const std::uint32_t kinds[] = {
      IORING_SETUP_SQPOLL,
      IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      kDeferred | IORING_SETUP_TASKRUN_FLAG,
      uapi::kSetupNoMmap,
      uapi::kSetupNoMmap | uapi::kSetupRegisteredFdOnly,
      uapi::kSetupNoSqarray,
      uapi::kSetupNoSqarray | uapi::kSetupSqRewind,
      uapi::kSetupCqeMixed | uapi::kSetupSqeMixed,
  };
  for (const std::uint32_t flags : kinds) {
    Seed seed(profile, 7);
    seed.memory().setup(flags, 4);
    for (const std::uint8_t opcode : {IORING_OP_NOP, IORING_OP_TIMEOUT, IORING_OP_POLL_ADD, IORING_OP_FSYNC}) {
      Meant meant = opcode_sqe(opcode);
      meant.sqe.flags = opcode == IORING_OP_NOP ? IOSQE_IO_LINK : opcode == IORING_OP_FSYNC ? IOSQE_IO_DRAIN : 0;
      seed.sqe(meant.sqe, meant.addresses, meant.descriptors);
    }
    seed.enter(4, 1).plain(Action::kRelax).outside(0, kOtherStream, 8).enter(0, 3);
    io_uring_params sizes{};
    sizes.sq_entries = 16;
    sizes.cq_entries = 32;
    sizes.flags = IORING_SETUP_CQSIZE;
    seed.register_op(uapi::kRegisterResizeRings, sizes, 1).plain(Action::kReap);
    io_uring_sqe nop{};
    for (int count = 0; count < 12; ++count) seed.sqe(nop);
    seed.enter(12, 12);
    seeds.emplace_back("ring-" + std::to_string(flags), seed.text());
  }
  Seed seed(profile);
  uapi::MemRegion region{};
  region.region = kTime;
  region.flags = uapi::kMemRegionWaitArg;
  const std::uint64_t description[] = {kData, 4096, 1, 0, 0, 0, 0, 0};
  seed.setup(IORING_SETUP_R_DISABLED).write(kTime, description, 1);
  seed.register_op(uapi::kRegisterMemRegion, region, 1, 1).register_nothing(IORING_REGISTER_ENABLE_RINGS).enter(0, 0);
  seeds.emplace_back("memory-region", seed.text());
}

}  // namespace

}  // namespace assay::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "sim_kernel_fuzzer_seeds: it takes one argument, the folder to write to\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (const std::string profile : {"linux-5.4", "linux-5.10", "linux-6.1", "linux-7.3"}) {
    assay::fuzz::Seeds seeds;
    assay::fuzz::add_opcodes(seeds, profile);
    assay::fuzz::add_registrations(seeds, profile);
    assay::fuzz::add_rings(seeds, profile);
    for (const auto& [name, text] : seeds) std::ofstream(folder / (profile + "-" + name), std::ios::binary) << text;
  }
}
