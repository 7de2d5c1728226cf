#pragma once

#include <cstdint>
#include <string>

#include "assay/backend/uapi.h"
#include "assay/mocks/fuzz/program.h"

/// A program as a seed of the fuzzer, and where it keeps what its SQEs and registrations refer to.
namespace assay::fuzz {

inline constexpr std::uint32_t kNull = ~0u;
// Where a seed's memory has what: bytes from the beginning of the arena.
inline constexpr std::uint32_t kData = 0;
inline constexpr std::uint32_t kVector = 0x5000;
inline constexpr std::uint32_t kTime = 0x5100;
inline constexpr std::uint32_t kName = 0x5200;
inline constexpr std::uint32_t kNewName = 0x5240;
inline constexpr std::uint32_t kAttribute = 0x5280;
inline constexpr std::uint32_t kAddress = 0x5300;
inline constexpr std::uint32_t kMessage = 0x5400;
inline constexpr std::uint32_t kInterest = 0x5500;
inline constexpr std::uint32_t kWaitVector = 0x5600;
inline constexpr std::uint32_t kHow = 0x5700;
inline constexpr std::uint32_t kNumbers = 0x5800;
inline constexpr std::uint32_t kBufferRing = 0x6000;
inline constexpr std::uint32_t kArgument = 0x8000;

// Meaning::addresses and ::descriptors of an SQE's fields.
inline constexpr std::uint8_t kOffIsAddress = 1 << 1;
inline constexpr std::uint8_t kAddrIsAddress = 1 << 2;
inline constexpr std::uint8_t kAddr3IsAddress = 1 << 6;
inline constexpr std::uint16_t kFdIsGiven = 1 << 1;
inline constexpr std::uint16_t kOffIsGiven = 1 << 2;
inline constexpr std::uint16_t kOtherFdIsGiven = 1 << 11;

/// The number of a profile in Head::profile.
std::uint8_t number_of_profile(const std::string& name);

/// A seed in the making.
class Seed {
 public:
  explicit Seed(const std::string& profile, std::uint16_t seed = 0)
      : writer_({.profile = number_of_profile(profile), .strict = 1, .seed = seed}) {}

  Seed& setup(std::uint32_t flags = 0, std::uint16_t entries = 8) {
    writer_.add(Action::kSetup, SetupArguments{.entries = entries, .flags = flags});
    return *this;
  }
  Seed& sqe(const io_uring_sqe& sqe, std::uint8_t addresses = 0, std::uint16_t descriptors = 0) {
    writer_.add(Action::kSqe, SqeArguments{.meaning = {addresses, descriptors}}, &sqe, sizeof sqe);
    return *this;
  }
  Seed& enter(std::uint8_t to_submit, std::uint8_t min_complete = 1) {
    writer_.add(Action::kEnter,
                EnterArguments{.to_submit = to_submit, .min_complete = min_complete, .flags = IORING_ENTER_GETEVENTS});
    return *this;
  }
  template <typename Value>
  Seed& write(std::uint32_t offset, const Value& value, std::uint8_t addresses = 0, std::uint16_t descriptors = 0) {
    writer_.add(Action::kWrite, WriteArguments{.offset = offset, .follow = {sizeof value, {addresses, descriptors}}},
                &value, sizeof value);
    return *this;
  }
  template <typename Value>
  Seed& register_op(std::uint32_t opcode, const Value& value, std::uint32_t count, std::uint8_t addresses = 0,
                    std::uint16_t descriptors = 0) {
    writer_.add(Action::kRegister,
                RegisterArguments{.opcode = opcode,
                                  .argument = kArgument,
                                  .count = count,
                                  .follow = {sizeof value, {addresses, descriptors}}},
                &value, sizeof value);
    return *this;
  }
  Seed& register_nothing(std::uint32_t opcode, std::uint32_t count = 0) {
    writer_.add(Action::kRegister, RegisterArguments{.opcode = opcode, .argument = kNull, .count = count});
    return *this;
  }
  Seed& outside(std::uint8_t what, Given which, std::uint16_t bytes) {
    writer_.add(Action::kOutside,
                OutsideArguments{.what = what, .index = static_cast<std::uint8_t>(which), .bytes = bytes});
    return *this;
  }
  Seed& plain(Action action) {
    writer_.add(action, std::uint8_t{0});
    return *this;
  }
  /// What the SQEs of `opcode_sqe` refer to.
  Seed& memory();
  const std::string& text() const { return writer_.text(); }

 private:
  ProgramWriter writer_;
};

}  // namespace assay::fuzz
