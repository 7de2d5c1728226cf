#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace assay {

/// Every place where a kernel may legally do something that it almost never does. The order is that of the table.
enum class FaultPointId : std::uint8_t {
  kSetupEnomem,
  kSetupEperm,
  kSetupEnosys,
  kSetupErrno,
  kSetupFeatureAbsent,
  kMapEnomem,
  kRegisterErrno,
  kRegisterOpcodeAbsent,
  kEnterEintr,
  kEnterEintrMasked,
  kEnterEagain,
  kEnterEbusy,
  kEnterEbadr,
  kEnterErrno,
  kEnterTake,
  kEnterEarly,
  kCqeShort,
  kCqeEof,
  kCqeErrno,
  kCqeEintr,
  kCqeEagain,
  kCqeEnobufs,
  kCqeRefused,
  kCqeFull,
  kCqeDrop,
  kCqeMultishotEnd,
  kCqeLater,
  kCqeHeld,
  kCqeReorder,
  kCqeForeign,
  kCqeNotifLate,
  kCqeCancelEnoent,
  kCqeCancelEalready,
  kCqeCancelOrder,
  kPollerLate,
  kPollerHeadLate,
  kPollerAsleep,
};

inline constexpr std::size_t kFaultPoints = static_cast<std::size_t>(FaultPointId::kPollerAsleep) + 1;

/// On which kernels a point can be reached truthfully.
enum class FaultReach : std::uint8_t {
  /// The fault bends a call, or an SQE before the kernel sees it: any kernel, the running one too.
  kBoth,
  /// The fault lies behind the call, in what the kernel decides: only a simulated kernel asks.
  kSimulation,
};

/// What a rule for a point may say beside when it fires, as a mask.
enum FaultParameter : unsigned {
  kTakesErrno = 1u << 0,           ///< errno=NAME or a number: the error
  kTakesBytes = 1u << 1,           ///< bytes=N: how much a short result transfers
  kTakesK = 1u << 2,               ///< k=N: how many SQEs are taken
  kTakesBit = 1u << 3,             ///< bit=NAME: a feature without IORING_FEAT_
  kTakesSqeFilter = 1u << 4,       ///< op=, fd=, user_data=: only requests like this
  kTakesRegisterFilter = 1u << 5,  ///< op=: only this register opcode, without IORING_
  kTakesOpcode = 1u << 6,          ///< op=: the opcode meant, without IORING_OP_
};

/// What a point may let the users of a backend see, where it is no errno of its own.
enum FaultTells : int {
  kTellsNothing = 0,       ///< a backend bears it, and its users see what they see without it
  kTellsItsErrno = -1,     ///< the errno of the rule
  kTellsUnsupported = -2,  ///< whatever says that something is not there: EINVAL, EOPNOTSUPP, ENOSYS
};

/// One fault point: the single source for the code, `assay faults`, the documentation and libfiu's names.
struct FaultPoint {
  FaultPointId id;
  /// "assay/<call>/<effect>"; call is setup, map, register, enter, cqe or poller. Plans may leave "assay/" out.
  std::string_view name;
  /// What a program sees, in a sentence.
  std::string_view meaning;
  /// What makes a real kernel do it, and which kernels do.
  std::string_view cause;
  /// What counts as one crossing of the point, where the n of nth=n is counted.
  std::string_view crossing;
  FaultReach reach;
  /// FaultParameter masks: what a rule may say, and what it must say.
  unsigned takes;
  unsigned needs;
  /// The errno that users of a backend may see because of it, or FaultTells.
  int tells = kTellsNothing;
  /// The errnos that a sweep tries where a rule must give one; 0 is none.
  std::array<int, 4> sweeps = {};
};

/// All points, indexed by FaultPointId.
std::span<const FaultPoint> fault_points();

const FaultPoint& fault_point(FaultPointId id);

/// The point of that name, with or without "assay/", or null.
const FaultPoint* find_fault_point(std::string_view name);

/// The name without "assay/", as plans print it.
std::string_view short_name(const FaultPoint& point);

/// The point whose name is most like `name`: what a misspelling probably meant.
const FaultPoint& nearest_fault_point(std::string_view name);

/// True for what a kernel is rather than does (an absent feature or opcode): such a rule holds always, and takes no
/// timing.
bool is_standing(const FaultPoint& point);

/// The settings that a rule for the point takes, as people read them: "errno=NAME [op=NAME] [fd=N] [user_data=N]".
/// Those that may be left out stand in brackets; the timing is left out.
std::string fault_settings(const FaultPoint& point);

/// What the users of a backend may see because of it: "nothing", "its errno", "EBADR".
std::string fault_tells_name(const FaultPoint& point);

/// "linux and simulated" or "simulated".
std::string_view fault_reach_name(FaultReach reach);

}  // namespace assay
