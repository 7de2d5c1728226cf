#include <charconv>
#include <cstring>

#include "assay/faultinject/kernel_stack.h"
#include "assay/mocks/nearest_name.h"
#include "assay/mocks/profile.h"

namespace assay {
namespace {

Error wrong(const std::string& line) { return Error::invalid("kernel: " + line); }

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

// Profile names contain '-' and digits, as the bits that follow do: the longest name that the text begins with, and
// that ends where the text or a bit does.
std::string_view known_profile(std::string_view text, const std::vector<std::string>& names) {
  std::string_view longest;
  for (const std::string& name : names) {
    if (!text.starts_with(name) || name.size() <= longest.size()) continue;
    if (name.size() == text.size() || text[name.size()] == '-' || text[name.size()] == '+') {
      longest = text.substr(0, name.size());
    }
  }
  return longest;
}

// A recorded profile in a file: everything up to and with ".json".
std::string_view profile_file(std::string_view text) {
  constexpr std::string_view kEnding = ".json";
  const std::size_t end = text.find(kEnding);
  return end == std::string_view::npos ? std::string_view{} : text.substr(0, end + kEnding.size());
}

// "-BIT+BIT...": signs separate, since no bit's name has one.
Result<void> parse_bits(KernelSpec& spec, std::string_view text) {
  while (!text.empty()) {
    const bool on = text.front() == '+';
    if (!on && text.front() != '-') return wrong(quoted(text) + ": -BIT or +BIT is wanted after the profile");
    const std::size_t end = text.find_first_of("+-", 1);
    const std::string_view bit = text.substr(1, end == std::string_view::npos ? end : end - 1);
    if (bit.empty()) return wrong(quoted(text) + ": a bit's name is wanted after the sign, such as -SENDMSG_ZC");
    spec.bits.push_back({.bit = std::string(bit), .on = on});
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end);
  }
  return {};
}

Result<void> parse_option(KernelSpec& spec, std::string_view option) {
  if (option == "real-clock") {
    spec.real_clock = true;
    return {};
  }
  if (option == "strict") {
    spec.strict = true;
    return {};
  }
  if (option == "live") {
    spec.live = true;
    return {};
  }
  if (option.starts_with("seed=")) {
    const std::string_view number = option.substr(std::strlen("seed="));
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), spec.seed);
    if (error != std::errc{} || end != number.data() + number.size()) {
      return wrong(quoted(option) + ": a whole number is wanted, such as seed=7");
    }
    return {};
  }
  return wrong("unknown option " + quoted(option) + "; there are live, real-clock, strict and seed=N");
}

}  // namespace

Result<KernelSpec> parse_kernel_spec(std::string_view text) {
  constexpr std::string_view kSim = "sim:";
  KernelSpec spec;
  if (text == "linux") return spec;
  if (!text.starts_with(kSim)) {
    const std::vector<std::string> names = profile_names();
    // Someone who left "sim:" out means the profile.
    const std::string_view meant = known_profile(text.substr(0, text.find(',')), names);
    if (!meant.empty()) return wrong(quoted(text) + ": a profile is spelled " + quoted("sim:" + std::string(text)));
    return wrong(quoted(text) + ": 'linux' or 'sim:PROFILE' is wanted, such as 'sim:linux-6.12.0'");
  }
  spec.simulated = true;
  std::string_view rest = text.substr(kSim.size());
  const std::string_view kernel = rest.substr(0, rest.find(','));
  rest = rest.substr(kernel.size());

  const std::vector<std::string> names = profile_names();
  std::string_view profile = profile_file(kernel);
  if (profile.empty()) profile = known_profile(kernel, names);
  if (profile.empty()) {
    const std::string_view nearest = nearest_name(kernel, names);
    return wrong("unknown profile " + quoted(kernel) + did_you_mean(nearest) + " (profiles: " + joined(names) + ")");
  }
  spec.profile = profile;
  if (Result<void> bits = parse_bits(spec, kernel.substr(profile.size())); !bits) return bits.error();
  while (!rest.empty()) {
    rest = rest.substr(1);  // the comma
    const std::string_view option = rest.substr(0, rest.find(','));
    if (Result<void> parsed = parse_option(spec, option); !parsed) return parsed.error();
    rest = rest.substr(option.size());
  }
  return spec;
}

std::string format_kernel_spec(const KernelSpec& spec) {
  if (!spec.simulated) return "linux";
  std::string text = "sim:" + spec.profile;
  for (const KernelSpec::BitChange& change : spec.bits) text += (change.on ? '+' : '-') + change.bit;
  if (spec.live) text += ",live";
  if (spec.real_clock) text += ",real-clock";
  if (spec.strict) text += ",strict";
  if (spec.seed != 0) text += ",seed=" + std::to_string(spec.seed);
  return text;
}

}  // namespace assay
