#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace assay {

/// An upstream Linux release, as far as io_uring's history needs it.
struct KernelVersion {
  int major = 0;
  int minor = 0;

  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
};

/// A constant of io_uring's ABI: its name in <linux/io_uring.h>, its value, and the upstream release that brought it.
/// For flags the value is the mask, not the bit's index.
struct NamedValue {
  std::string_view name;
  std::uint32_t value;
  KernelVersion since;
};

/// The classes of constants. Each has a table, ordered by value; a name is unique within its class.
enum class UapiClass { kOpcode, kFeature, kSetupFlag, kEnterFlag, kRegisterOp, kSqeFlag, kCqeFlag, kSqRingFlag };

/// All constants of a class that any upstream release up to 7.3 has. The strings are static.
std::span<const NamedValue> uapi_table(UapiClass which);

/// What every name of the class begins with: "IORING_OP_" for opcodes. Register opcodes have only "IORING_" in common.
std::string_view uapi_prefix(UapiClass which);

/// The entry with exactly this value, or null.
const NamedValue* find_uapi(UapiClass which, std::uint32_t value);

/// The entry of this name, or null. The class's prefix may be left out: "READV" finds IORING_OP_READV, and
/// "REGISTER_FILES" finds IORING_REGISTER_FILES.
const NamedValue* find_uapi(UapiClass which, std::string_view name);

/// The name without its class's prefix; a value without a name is spelled as a number.
std::string uapi_name(UapiClass which, std::uint32_t value);

/// A mask of flags as names without prefix, joined by '|': "IO_LINK|ASYNC". Bits without a name come last, in
/// hexadecimal; an empty mask is "0".
std::string uapi_flags(UapiClass which, std::uint32_t mask);

}  // namespace assay
