#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

/// The form of the fuzzer's inputs: a head of four bytes, then actions, each a byte that says which and then its
/// arguments in the order of their fields, little-endian. What is missing at the end is zeros.
namespace assay::fuzz {

/// What a program does next. The arguments stand behind each.
enum class Action : std::uint8_t {
  kSetup,         ///< SetupArguments
  kSqe,           ///< SqeArguments, then 64 bytes: an SQE, put into a slot and pushed
  kEnter,         ///< EnterArguments
  kRegister,      ///< RegisterArguments, then the bytes of its argument
  kWrite,         ///< WriteArguments, then the bytes: into the arena, a ring's memory or whatever was mapped
  kReap,          ///< a byte: the ring, all of whose CQEs are seen
  kMap,           ///< MapArguments
  kClose,         ///< a byte: the ring
  kRelax,         ///< a byte: the ring
  kWaitReadable,  ///< a byte: the ring; four bytes: how long, in nanoseconds
  kOutside,       ///< OutsideArguments: something happens to a descriptor
  kCount,
};

/// Which words of the bytes that follow are meant as addresses or descriptors. Bit n of `addresses` makes the nth eight
/// bytes an address in the arena, bit n of `descriptors` makes the nth four bytes one of the descriptors, and each
/// again for every eight and sixteen words. All others stay as they are, so that wild ones are tried as well.
struct Meaning {
  std::uint8_t addresses = 0;
  std::uint16_t descriptors = 0;
} __attribute__((packed));

/// The descriptors that a program finds, by the numbers that Meaning::descriptors takes; the rings follow.
enum Given : std::uint32_t {
  kPipeOut,
  kPipeIn,
  kNonblockingPipeOut,
  kNonblockingPipeIn,
  kStream,
  kOtherStream,
  kDatagram,
  kOtherDatagram,
  kPackets,
  kOtherPackets,
  kListener,
  kTcp,
  kUdp,
  kEventfd,
  kTimerfd,
  kEpoll,
  kMemory,
  kFile,
  kFolder,
  kNothing,
  kFirstRing,
};

struct SetupArguments {
  std::uint16_t entries = 8;
  std::uint32_t flags = 0;
  std::uint16_t cq_entries = 0;
  std::uint16_t idle_ms = 0;
  /// For IORING_SETUP_ATTACH_WQ.
  std::uint8_t other_ring = 0;
  /// Where IORING_SETUP_NO_MMAP has its memory, in pages from where it belongs.
  std::int8_t displacement = 0;
} __attribute__((packed));

struct SqeArguments {
  std::uint8_t ring = 0;
  Meaning meaning;
} __attribute__((packed));

struct EnterArguments {
  std::uint8_t ring = 0;
  std::uint8_t to_submit = 0;
  std::uint8_t min_complete = 0;
  std::uint32_t flags = 0;
  /// From the beginning of the arena; ~0 is null. With IORING_ENTER_EXT_ARG_REG as it stands.
  std::uint32_t argument = ~0u;
  std::uint16_t argument_bytes = 0;
} __attribute__((packed));

/// The bytes that stand behind the arguments, for the memory that these name.
struct BytesThatFollow {
  std::uint8_t count = 0;
  Meaning meaning;
} __attribute__((packed));

struct RegisterArguments {
  std::uint8_t ring = 0;
  std::uint32_t opcode = 0;
  /// From the beginning of the arena; ~0 is null.
  std::uint32_t argument = 0;
  std::uint32_t count = 1;
  BytesThatFollow follow;
} __attribute__((packed));

struct WriteArguments {
  /// 0 is the arena, then all that was mapped, in that order: of each ring its rings and its SQEs.
  std::uint8_t where = 0;
  std::uint32_t offset = 0;
  BytesThatFollow follow;
} __attribute__((packed));

struct MapArguments {
  std::uint8_t ring = 0;
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
} __attribute__((packed));

struct OutsideArguments {
  std::uint8_t what = 0;
  std::uint8_t index = 0;
  std::uint16_t bytes = 0;
} __attribute__((packed));

struct Head {
  /// Which profile, in the order of their names.
  std::uint8_t profile = 0;
  std::uint8_t strict = 0;
  std::uint16_t seed = 0;
} __attribute__((packed));

/// Takes an input apart.
class ProgramReader {
 public:
  ProgramReader(const std::uint8_t* data, std::size_t bytes) : next_(data), end_(data + bytes) {}

  bool empty() const { return next_ == end_; }
  template <typename Value>
  Value take() {
    Value value{};
    take_bytes(&value, sizeof value);
    return value;
  }
  void take_bytes(void* to, std::size_t bytes) {
    const auto left = static_cast<std::size_t>(end_ - next_);
    std::memset(to, 0, bytes);
    const std::size_t taken = bytes < left ? bytes : left;
    if (taken != 0) std::memcpy(to, next_, taken);
    next_ += taken;
  }

 private:
  const std::uint8_t* next_;
  const std::uint8_t* end_;
};

/// Puts one together, for seeds.
class ProgramWriter {
 public:
  explicit ProgramWriter(const Head& head) { put(head); }

  template <typename Arguments>
  ProgramWriter& add(Action action, const Arguments& arguments, const void* bytes = nullptr, std::size_t count = 0) {
    text_.push_back(static_cast<char>(action));
    put(arguments);
    if (count != 0) text_.append(static_cast<const char*>(bytes), count);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  template <typename Value>
  void put(const Value& value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::string text_;
};

}  // namespace assay::fuzz
