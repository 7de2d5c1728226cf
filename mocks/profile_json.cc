#include <algorithm>
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "assay/mocks/nearest_name.h"
#include "assay/mocks/profile.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// Raised whenever an older reader would misread a newer file.
constexpr int kSchema = 1;

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string version_text(KernelVersion version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::optional<KernelVersion> parse_version(const std::string& text) {
  KernelVersion version;
  int end = 0;
  if (std::sscanf(text.c_str(), "%d.%d%n", &version.major, &version.minor, &end) != 2) return std::nullopt;
  if (static_cast<std::size_t>(end) != text.size()) return std::nullopt;
  return version;
}

// Writing.

Json mask_to_json(UapiClass which, std::uint32_t mask) {
  Json names = Json::array();
  for (unsigned bit = 0; bit < 32; ++bit) {
    const std::uint32_t value = std::uint32_t{1} << bit;
    if ((mask & value) == 0) continue;
    names.push_back(find_uapi(which, value) != nullptr ? uapi_name(which, value) : uapi_flags(which, value));
  }
  return names;
}

Json opcodes_to_json(UapiClass which, const std::bitset<256>& opcodes) {
  Json names = Json::array();
  for (std::size_t opcode = 0; opcode < opcodes.size(); ++opcode) {
    if (opcodes.test(opcode)) names.push_back(uapi_name(which, static_cast<std::uint32_t>(opcode)));
  }
  return names;
}

// Reading. Each function reads one member and returns what is wrong with it, or nothing.

using Fault = std::optional<std::string>;

/// A constant that has no name yet is written as a number: "65", "0x200000".
std::optional<std::uint32_t> parse_number(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <typename Store>
Fault read_names(const Json& object, std::string_view key, UapiClass which, Store store) {
  const auto member = object.find(key);
  if (member == object.end()) return "has no " + in_quotes(key);
  if (!member->is_array()) return in_quotes(key) + " is not a list of names";
  for (const Json& element : *member) {
    if (!element.is_string()) return in_quotes(key) + " is not a list of names";
    const std::string& name = element.get_ref<const std::string&>();
    const NamedValue* known = find_uapi(which, name);
    const std::optional<std::uint32_t> value = known != nullptr ? known->value : parse_number(name);
    if (!value.has_value() || !store(*value)) {
      std::vector<std::string> names;
      for (const NamedValue& entry : uapi_table(which)) names.push_back(uapi_name(which, entry.value));
      return in_quotes(key) + " has the unknown name " + in_quotes(name) + did_you_mean(nearest_name(name, names));
    }
  }
  return std::nullopt;
}

Fault read_mask(const Json& object, std::string_view key, UapiClass which, std::uint32_t& mask) {
  return read_names(object, key, which, [&mask](std::uint32_t value) {
    mask |= value;
    return true;
  });
}

Fault read_opcodes(const Json& object, std::string_view key, UapiClass which, std::bitset<256>& opcodes) {
  return read_names(object, key, which, [&opcodes](std::uint32_t value) {
    if (value >= opcodes.size()) return false;
    opcodes.set(value);
    return true;
  });
}

Fault read_string(const Json& object, std::string_view key, std::string& text) {
  const auto member = object.find(key);
  if (member == object.end()) return "has no " + in_quotes(key);
  if (!member->is_string()) return in_quotes(key) + " is not a string";
  text = member->get<std::string>();
  return std::nullopt;
}

Fault read_heading(const Json& object, Profile& profile) {
  const auto schema = object.find("schema");
  if (schema == object.end()) return "has no 'schema'";
  if (*schema != kSchema)
    return "'schema' is " + schema->dump() + ", and this program reads " + std::to_string(kSchema);
  std::string origin;
  std::string version;
  for (const auto& [key, text] : {std::pair{"name", &profile.name}, std::pair{"origin", &origin},
                                  std::pair{"release", &profile.release}, std::pair{"version", &version}}) {
    if (Fault fault = read_string(object, key, *text)) return fault;
  }
  if (origin != "documented" && origin != "recorded") return "'origin' is neither 'documented' nor 'recorded'";
  profile.origin = origin == "recorded" ? ProfileOrigin::kRecorded : ProfileOrigin::kDocumented;
  const std::optional<KernelVersion> parsed = parse_version(version);
  if (!parsed.has_value()) return "'version' is " + in_quotes(version) + ", not two numbers such as '6.12'";
  profile.version = *parsed;
  return std::nullopt;
}

/// Switches that profiles had once. Nothing could tell their values apart.
bool is_retired(std::string_view name) { return name == "wait_ebusy_on_overflow"; }

/// A switch that the file does not have is newer than the file: it is as in the release whose io_uring the profile is,
/// and called assumed.
Fault read_semantics(const Json& object, Profile& profile) {
  const auto member = object.find("semantics");
  if (member == object.end()) return "has no 'semantics'";
  if (!member->is_object()) return "'semantics' is not an object";
  std::vector<std::string_view> names;
  for (const Switch& entry : switch_table()) names.push_back(entry.name);
  for (const auto& [name, value] : member->items()) {
    if (std::find(names.begin(), names.end(), name) == names.end() && !is_retired(name)) {
      return "'semantics' has the unknown switch " + in_quotes(name) + did_you_mean(nearest_name(name, names));
    }
    if (!value.is_boolean()) return "'semantics': " + in_quotes(name) + " is neither true nor false";
  }
  const KernelVersion release = effective_version(profile);
  for (const Switch& entry : switch_table()) {
    const auto value = member->find(entry.name);
    profile.semantics.*entry.member = value != member->end() ? value->get<bool>() : entry.on_in(release);
    if (value == member->end()) profile.assumed.emplace_back(entry.name);
  }
  return std::nullopt;
}

Fault read_assumed(const Json& object, Profile& profile) {
  const auto member = object.find("assumed");
  if (member == object.end()) return "has no 'assumed'";
  if (!member->is_array()) return "'assumed' is not a list of names";
  for (const Json& name : *member) {
    if (!name.is_string()) return "'assumed' is not a list of names";
    if (!is_retired(name.get<std::string>())) profile.assumed.push_back(name.get<std::string>());
  }
  return std::nullopt;
}

Fault read_bits(const Json& object, Profile& profile) {
  if (Fault fault = read_mask(object, "features", UapiClass::kFeature, profile.features)) return fault;
  if (Fault fault = read_mask(object, "setup_flags", UapiClass::kSetupFlag, profile.setup_flags)) return fault;
  if (Fault fault = read_mask(object, "enter_flags", UapiClass::kEnterFlag, profile.enter_flags)) return fault;
  if (Fault fault = read_mask(object, "sqe_flags", UapiClass::kSqeFlag, profile.sqe_flags)) return fault;
  if (Fault fault = read_opcodes(object, "opcodes", UapiClass::kOpcode, profile.opcodes)) return fault;
  return read_opcodes(object, "register_ops", UapiClass::kRegisterOp, profile.register_ops);
}

Fault find_unknown_key(const Json& object) {
  static const std::vector<std::string_view> keys = {
      "schema",      "name",      "origin",  "release",      "version",   "features", "setup_flags",
      "enter_flags", "sqe_flags", "opcodes", "register_ops", "semantics", "assumed"};
  for (const auto& [key, value] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return "has the unknown member " + in_quotes(key) + did_you_mean(nearest_name(key, keys));
    }
  }
  return std::nullopt;
}

Error syntax_error(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  return Error::invalid("profile is not JSON: syntax error in line " + std::to_string(line));
}

}  // namespace

std::string profile_to_json(const Profile& profile) {
  Json object;
  object["schema"] = kSchema;
  object["name"] = profile.name;
  object["origin"] = profile.origin == ProfileOrigin::kRecorded ? "recorded" : "documented";
  object["release"] = profile.release;
  object["version"] = version_text(profile.version);
  object["features"] = mask_to_json(UapiClass::kFeature, profile.features);
  object["setup_flags"] = mask_to_json(UapiClass::kSetupFlag, profile.setup_flags);
  object["enter_flags"] = mask_to_json(UapiClass::kEnterFlag, profile.enter_flags);
  object["sqe_flags"] = mask_to_json(UapiClass::kSqeFlag, profile.sqe_flags);
  object["opcodes"] = opcodes_to_json(UapiClass::kOpcode, profile.opcodes);
  object["register_ops"] = opcodes_to_json(UapiClass::kRegisterOp, profile.register_ops);
  Json semantics = Json::object();
  for (const Switch& entry : switch_table()) semantics[std::string(entry.name)] = profile.semantics.*entry.member;
  object["semantics"] = std::move(semantics);
  object["assumed"] = profile.assumed;
  return object.dump(2) + "\n";
}

Result<Profile> profile_from_json(std::string_view text) {
  Json object;
  try {
    object = Json::parse(text);
  } catch (const Json::parse_error& error) {
    return syntax_error(text, error.byte);
  }
  if (!object.is_object()) return Error::invalid("profile is not a JSON object");
  Profile profile;
  Fault fault = find_unknown_key(object);
  if (!fault) fault = read_heading(object, profile);
  if (!fault) fault = read_bits(object, profile);
  if (!fault) fault = read_assumed(object, profile);
  if (!fault) fault = read_semantics(object, profile);
  if (fault) return Error::invalid("profile " + *fault);
  return profile;
}

}  // namespace assay
