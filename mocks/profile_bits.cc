#include <string>
#include <string_view>
#include <vector>

#include "assay/mocks/nearest_name.h"
#include "assay/mocks/profile.h"

namespace assay {
namespace {

/// The classes that a profile has bits of, with what each is called where a name needs its class.
struct BitClass {
  UapiClass which;
  std::string_view marker;
};
constexpr BitClass kBitClasses[] = {
    {UapiClass::kOpcode, "OP_"},       {UapiClass::kFeature, "FEAT_"}, {UapiClass::kSetupFlag, "SETUP_"},
    {UapiClass::kEnterFlag, "ENTER_"}, {UapiClass::kSqeFlag, "SQE_"},  {UapiClass::kRegisterOp, "REGISTER_"},
};

/// A bit that a person may name: a constant of the ABI, or a switch.
struct Bit {
  UapiClass which{};
  const NamedValue* value = nullptr;
  const Switch* semantic = nullptr;
  /// "FEAT_EXT_ARG": unique among all bits.
  std::string_view with_class;
  /// "EXT_ARG": may be another bit's too.
  std::string_view bare;
};

const std::vector<Bit>& all_bits() {
  static const std::vector<Bit> bits = [] {
    std::vector<Bit> all;
    for (const BitClass& of : kBitClasses) {
      for (const NamedValue& value : uapi_table(of.which)) {
        // IORING_FEAT_EXT_ARG, but IOSQE_IO_LINK: "IORING_", or the "IO" before "SQE_", goes.
        const std::size_t begin = of.which == UapiClass::kSqeFlag ? 2 : std::string_view("IORING_").size();
        const std::string_view with_class = value.name.substr(begin);
        const bool marked = with_class.starts_with(of.marker);
        all.push_back({.which = of.which,
                       .value = &value,
                       .with_class = with_class,
                       .bare = marked ? with_class.substr(of.marker.size()) : with_class});
      }
    }
    for (const Switch& entry : switch_table()) {
      all.push_back({.semantic = &entry, .with_class = entry.name, .bare = entry.name});
    }
    return all;
  }();
  return bits;
}

std::vector<const Bit*> bits_named(std::string_view name) {
  std::vector<const Bit*> found;
  for (const Bit& bit : all_bits()) {
    if (bit.with_class == name || (bit.value != nullptr && bit.value->name == name)) return {&bit};
    if (bit.bare == name) found.push_back(&bit);
  }
  return found;
}

void set_mask(std::uint32_t& mask, std::uint32_t bits, bool on) { mask = on ? mask | bits : mask & ~bits; }

void set_constant(Profile& profile, UapiClass which, std::uint32_t value, bool on) {
  switch (which) {
    case UapiClass::kOpcode:
      profile.opcodes.set(value, on);
      return;
    case UapiClass::kRegisterOp:
      profile.register_ops.set(value, on);
      return;
    case UapiClass::kSetupFlag:
      set_mask(profile.setup_flags, value, on);
      return;
    case UapiClass::kEnterFlag:
      set_mask(profile.enter_flags, value, on);
      return;
    case UapiClass::kSqeFlag:
      set_mask(profile.sqe_flags, value, on);
      return;
    case UapiClass::kFeature:
      set_mask(profile.features, value, on);
      for (const Switch& entry : switch_table()) {
        if (entry.feature == value) profile.semantics.*entry.member = on == entry.on_with_feature;
      }
      return;
    case UapiClass::kCqeFlag:
    case UapiClass::kSqRingFlag:
      return;  // not part of a profile
  }
}

}  // namespace

std::string bit_name(UapiClass which, const NamedValue& value) {
  for (const Bit& bit : all_bits()) {
    if (bit.value == &value && bit.which == which) {
      return std::string(bits_named(bit.bare).size() == 1 ? bit.bare : bit.with_class);
    }
  }
  return std::string(value.name);
}

Result<void> set_profile_bit(Profile& profile, std::string_view name, bool on) {
  const std::vector<const Bit*> found = bits_named(name);
  if (found.size() > 1) {
    std::string candidates;
    for (const Bit* bit : found) {
      if (!candidates.empty()) candidates += bit == found.back() ? " or " : ", ";
      candidates += bit->with_class;
    }
    return Error::invalid("'" + std::string(name) + "' is ambiguous: say " + candidates);
  }
  if (found.empty()) {
    std::vector<std::string_view> known;
    for (const Bit& bit : all_bits()) {
      known.push_back(bit.bare);
      known.push_back(bit.with_class);
    }
    return Error::invalid("'" + std::string(name) + "' is no opcode, feature, flag, registration or switch" +
                          did_you_mean(nearest_name(name, known)));
  }

  const Bit& bit = *found.front();
  if (bit.semantic == nullptr) {
    set_constant(profile, bit.which, bit.value->value, on);
    return {};
  }
  profile.semantics.*bit.semantic->member = on;
  if (bit.semantic->feature != 0) {
    set_mask(profile.features, bit.semantic->feature, on == bit.semantic->on_with_feature);
  }
  return {};
}

}  // namespace assay
