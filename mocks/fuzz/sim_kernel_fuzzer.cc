// libFuzzer's target for SimKernel: what stands in ring memory and in the arguments of its calls is untrusted.
//
// An input is a program (program.h): which kernel, then actions. It may put any bytes anywhere that a user of io_uring
// can write, and make any call with any argument. Whatever it does, SimKernel must not crash, hang or leak, nor may a
// sanitizer find anything. What the inputs could do to the machine is kept in a sandbox (sandbox.h).
//
// What it finds becomes a test in sim/untrusted_input_test.cc, and the input goes to regressions/. ci/test fuzz replays
// those, and goes on from the seeds for half a minute. To look for longer:
//
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/mocks/fuzz/sim_kernel_fuzzer_seeds build/fuzz/seeds && mkdir -p build/fuzz/corpus
//   build/fuzz/mocks/fuzz/sim_kernel_fuzzer -timeout=10 -artifact_prefix=$PWD/build/fuzz/ build/fuzz/corpus
//   build/fuzz/seeds
//
// and with the name of a file that it wrote instead of the folders, that input is run once more.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/fuzz/program.h"
#include "assay/mocks/fuzz/sandbox.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

namespace assay::fuzz {

namespace {

// Bounds of a program, so that each ends soon; a kernel has none.
constexpr int kMostActions = 64;
constexpr unsigned kMostSubmitted = 512;
constexpr std::int32_t kMostProvidedBuffers = 300;
constexpr std::size_t kMostRings = 4;
constexpr unsigned kMostEntries = 64;
constexpr unsigned kTooManyEntries = 32768;
/// In the offsets of an io_uring_params the last member, whose name depends on the header.
constexpr std::size_t kUserAddress = 32;
constexpr std::uint32_t kNull = ~0u;
/// Where the arguments of setup and of waits lie.
constexpr std::size_t kArguments = 44 * Arena::kPage;

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = [] {
    std::vector<Profile> found;
    for (const std::string& name : profile_names()) {
      if (name != "linux-running") found.push_back(*find_profile(name));
    }
    return found;
  }();
  return all;
}

struct View {
  unsigned char* data;
  std::size_t bytes;
  bool mapped;
};

struct FuzzedRing {
  int fd = -1;
  bool registered = false;
  io_uring_params params{};
  unsigned char* rings = nullptr;
  unsigned char* sqes = nullptr;
  std::size_t sqe_bytes = sizeof(io_uring_sqe);

  std::uint32_t* word(std::uint32_t offset) const { return reinterpret_cast<std::uint32_t*>(rings + offset); }
};

class Machine {
 public:
  explicit Machine(ProgramReader& reader) : reader_(reader) {
    const Head head = reader_.take<Head>();
    SimOptions options;
    options.profile = profiles()[head.profile % profiles().size()];
    options.strict = (head.strict & 1) != 0;
    options.seed = head.seed;
    // Programs do with the buffers of their requests as they please.
    options.watches_buffers = false;
    Arena::reset();
    reset_folder();
    descriptors_.open();
    views_.push_back({Arena::data(), Arena::kBytes, false});
    kernel_ = std::make_unique<SimKernel>(std::move(options));
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() {
    for (const View& view : views_) {
      if (view.mapped) kernel_->unmap(view.data, view.bytes);
    }
    kernel_.reset();
    descriptors_.close_all();
  }

  void run() {
    for (int count = 0; count < kMostActions && !reader_.empty(); ++count) act();
  }

 private:
  void act() {
    tame_slots();
    switch (static_cast<Action>(reader_.take<std::uint8_t>() % static_cast<std::uint8_t>(Action::kCount))) {
      case Action::kSetup:
        return setup(reader_.take<SetupArguments>());
      case Action::kSqe:
        return push(reader_.take<SqeArguments>());
      case Action::kEnter:
        return enter(reader_.take<EnterArguments>());
      case Action::kRegister:
        return register_op(reader_.take<RegisterArguments>());
      case Action::kWrite:
        return write(reader_.take<WriteArguments>());
      case Action::kReap:
        return reap(ring(reader_.take<std::uint8_t>()));
      case Action::kMap:
        return map(reader_.take<MapArguments>());
      case Action::kClose:
        return close(ring(reader_.take<std::uint8_t>()));
      case Action::kRelax:
        return kernel_->relax(ring(reader_.take<std::uint8_t>()).fd);
      case Action::kWaitReadable: {
        const int fd = ring(reader_.take<std::uint8_t>()).fd;
        const timespec time{0, reader_.take<std::uint32_t>()};
        kernel_->wait_readable(fd, &time);
        return;
      }
      case Action::kOutside: {
        const auto arguments = reader_.take<OutsideArguments>();
        return descriptors_.act(arguments.what, arguments.index, arguments.bytes);
      }
      case Action::kCount:
        return;
    }
  }

  FuzzedRing& ring(std::uint8_t number) { return rings_[number % kMostRings]; }

  int descriptor(std::uint32_t word) const {
    const std::size_t index = word % (descriptors_.size() + kMostRings);
    if (index < descriptors_.size()) return descriptors_.at(index);
    return rings_[index - descriptors_.size()].fd;
  }

  /// Bytes of the program, with those words replaced that have a meaning.
  void fill(unsigned char* to, std::size_t bytes, const Meaning& meaning) {
    std::array<unsigned char, 256> text{};
    reader_.take_bytes(text.data(), bytes);
    for (std::size_t index = 0; (index + 1) * 8 <= bytes; ++index) {
      if ((meaning.addresses >> index % 8 & 1) == 0) continue;
      std::uint64_t word;
      std::memcpy(&word, &text[index * 8], sizeof word);
      word = reinterpret_cast<std::uintptr_t>(Arena::data()) + word % (Arena::kBytes + Arena::kPage);
      std::memcpy(&text[index * 8], &word, sizeof word);
    }
    for (std::size_t index = 0; (index + 1) * 4 <= bytes; ++index) {
      if ((meaning.descriptors >> index % 16 & 1) == 0) continue;
      std::uint32_t word;
      std::memcpy(&word, &text[index * 4], sizeof word);
      word = static_cast<std::uint32_t>(descriptor(word));
      std::memcpy(&text[index * 4], &word, sizeof word);
    }
    std::memcpy(to, text.data(), bytes);
  }

  void setup(const SetupArguments& arguments) {
    // Large rings are only slow, except those that are too large.
    const bool refused = arguments.entries > kTooManyEntries;
    const unsigned entries =
        refused || arguments.entries == 0 ? arguments.entries : (arguments.entries - 1) % kMostEntries + 1;
    const auto free = std::find_if(rings_.begin(), rings_.end(), [](const FuzzedRing& one) { return one.fd < 0; });
    if (free == rings_.end()) return;
    auto* const params = reinterpret_cast<io_uring_params*>(Arena::data() + kArguments);
    *params = {};
    params->flags = refused ? arguments.flags & ~std::uint32_t{IORING_SETUP_CLAMP} : arguments.flags;
    params->cq_entries = arguments.cq_entries;
    params->sq_thread_idle = arguments.idle_ms;
    if (arguments.flags & IORING_SETUP_ATTACH_WQ) params->wq_fd = static_cast<unsigned>(ring(arguments.other_ring).fd);
    const auto number = static_cast<std::size_t>(free - rings_.begin());
    unsigned char* const own = Arena::data() + Arena::kRings + number * Arena::kRingBytes;
    const std::ptrdiff_t displacement = arguments.displacement * static_cast<std::ptrdiff_t>(Arena::kPage);
    if (arguments.flags & uapi::kSetupNoMmap) {
      const std::uint64_t addresses[] = {reinterpret_cast<std::uintptr_t>(own + displacement + 4 * Arena::kPage),
                                         reinterpret_cast<std::uintptr_t>(own + displacement)};
      std::memcpy(reinterpret_cast<char*>(&params->sq_off) + kUserAddress, &addresses[0], sizeof addresses[0]);
      std::memcpy(reinterpret_cast<char*>(&params->cq_off) + kUserAddress, &addresses[1], sizeof addresses[1]);
    }
    const int fd = kernel_->setup(entries, params);
    if (fd < 0) return;
    FuzzedRing made;
    made.fd = fd;
    made.registered = (arguments.flags & uapi::kSetupRegisteredFdOnly) != 0;
    attach(made, *params);
    *free = made;
  }

  /// Maps a ring's memory as `params` describe it, or finds it where the program has it itself.
  void attach(FuzzedRing& to, const io_uring_params& params) {
    to.params = params;
    to.sqe_bytes = sizeof(io_uring_sqe) * ((params.flags & IORING_SETUP_SQE128) != 0 ? 2 : 1);
    if (params.flags & uapi::kSetupNoMmap) {
      std::memcpy(&to.sqes, reinterpret_cast<const char*>(&params.sq_off) + kUserAddress, sizeof to.sqes);
      std::memcpy(&to.rings, reinterpret_cast<const char*>(&params.cq_off) + kUserAddress, sizeof to.rings);
      return;
    }
    const std::size_t array_bytes = (params.flags & uapi::kSetupNoSqarray) != 0 ? 0 : params.sq_entries * 4;
    const std::size_t cqe_bytes = (params.flags & IORING_SETUP_CQE32) != 0 ? 32 : 16;
    const std::size_t rings_bytes =
        std::max(params.cq_off.cqes + params.cq_entries * cqe_bytes, params.sq_off.array + array_bytes);
    to.rings = map_view(to.fd, IORING_OFF_SQ_RING, rings_bytes);
    to.sqes = map_view(to.fd, IORING_OFF_SQES, params.sq_entries * to.sqe_bytes);
    if (to.rings == nullptr || to.sqes == nullptr) std::abort();
  }

  unsigned char* map_view(int fd, std::uint64_t offset, std::size_t bytes) {
    void* address = nullptr;
    if (kernel_->map(fd, offset, bytes, &address) != 0) return nullptr;
    views_.push_back({static_cast<unsigned char*>(address), bytes, true});
    return views_.back().data;
  }

  void push(const SqeArguments& arguments) {
    FuzzedRing& to = ring(arguments.ring);
    alignas(8) std::array<unsigned char, sizeof(io_uring_sqe)> sqe;
    fill(sqe.data(), sqe.size(), arguments.meaning);
    if (to.fd < 0) return;
    std::uint32_t* const tail = to.word(to.params.sq_off.tail);
    const std::uint32_t slot = *tail & (to.params.sq_entries - 1);
    std::memcpy(to.sqes + slot * to.sqe_bytes, sqe.data(), sqe.size());
    if ((to.params.flags & uapi::kSetupNoSqarray) == 0) to.word(to.params.sq_off.array)[slot] = slot;
    ++*tail;
  }

  void enter(const EnterArguments& arguments) {
    const FuzzedRing& on = ring(arguments.ring);
    const unsigned to_submit = std::min<unsigned>(arguments.to_submit, kMostSubmitted - submitted_);
    submitted_ += to_submit;
    const void* argument = arguments.argument == kNull ? nullptr : Arena::data() + arguments.argument % Arena::kBytes;
    if (arguments.flags & uapi::kEnterExtArgReg) {
      argument = reinterpret_cast<const void*>(std::uintptr_t{arguments.argument});
    }
    const std::uint32_t flags = arguments.flags | (on.registered ? IORING_ENTER_REGISTERED_RING : 0);
    kernel_->enter(on.fd, to_submit, arguments.min_complete, flags, argument, arguments.argument_bytes);
  }

  void register_op(const RegisterArguments& arguments) {
    unsigned char* argument = nullptr;
    std::array<unsigned char, 256> text;
    fill(text.data(), arguments.follow.count, arguments.follow.meaning);
    if (arguments.argument != kNull) {
      argument = Arena::data() + arguments.argument % Arena::kBytes;
      if (Arena::contains(argument, arguments.follow.count)) {
        std::memcpy(argument, text.data(), arguments.follow.count);
      }
    }
    FuzzedRing& on = ring(arguments.ring);
    const std::uint32_t flag = on.registered ? uapi::kRegisterUseRegisteredRing : 0;
    const int result = kernel_->register_op(on.fd, arguments.opcode | flag, argument, arguments.count);
    if (arguments.opcode == uapi::kRegisterResizeRings && result == 0) {
      io_uring_params params;
      std::memcpy(&params, argument, sizeof params);
      attach(on, params);
    }
  }

  void write(const WriteArguments& arguments) {
    const View& view = views_[arguments.where % views_.size()];
    std::array<unsigned char, 256> text;
    fill(text.data(), arguments.follow.count, arguments.follow.meaning);
    const std::size_t offset = arguments.offset % view.bytes;
    const std::size_t bytes = std::min<std::size_t>(arguments.follow.count, view.bytes - offset);
    if (!view.mapped && !Arena::contains(view.data + offset, bytes)) return;
    std::memcpy(view.data + offset, text.data(), bytes);
  }

  static void reap(const FuzzedRing& on) {
    if (on.fd < 0) return;
    *on.word(on.params.cq_off.head) = *on.word(on.params.cq_off.tail);
  }

  void map(const MapArguments& arguments) {
    constexpr std::size_t kMostViews = 16;
    if (views_.size() < kMostViews) map_view(ring(arguments.ring).fd, arguments.offset, arguments.bytes);
  }

  void close(FuzzedRing& on) {
    kernel_->close(on.fd);
    on = {};
  }

  /// What would only take long, or would act on the simulator's own descriptors, which in a kernel are no user's.
  void tame_slots() {
    const int floor = SimKernel::first_own_fd();
    for (const FuzzedRing& one : rings_) {
      if (one.fd < 0) continue;
      for (std::uint32_t slot = 0; slot < one.params.sq_entries; ++slot) {
        auto& sqe = *reinterpret_cast<io_uring_sqe*>(one.sqes + slot * one.sqe_bytes);
        const bool counts = sqe.opcode == IORING_OP_PROVIDE_BUFFERS;
        if (counts && sqe.fd > kMostProvidedBuffers) sqe.fd %= kMostProvidedBuffers;
        const bool of_ring =
            std::any_of(rings_.begin(), rings_.end(), [&](const FuzzedRing& other) { return other.fd == sqe.fd; });
        if (!counts && sqe.fd >= floor && !of_ring) sqe.fd %= floor;
      }
    }
  }

  ProgramReader& reader_;
  Descriptors descriptors_;
  std::unique_ptr<SimKernel> kernel_;
  std::vector<View> views_;
  std::array<FuzzedRing, kMostRings> rings_;
  unsigned submitted_ = 0;
};

}  // namespace

}  // namespace assay::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes);

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  // The sandbox has a working directory of its own, so what is relative to ours is spelled out before.
  for (int index = 1; index < *argc; ++index) {
    char*& argument = (*argv)[index];
    if (argument[0] == '-') continue;
    if (char* const absolute = ::realpath(argument, nullptr); absolute != nullptr) argument = absolute;
  }
  assay::fuzz::enter_sandbox();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  assay::fuzz::ProgramReader reader(data, bytes);
  assay::fuzz::Machine(reader).run();
  return 0;
}
