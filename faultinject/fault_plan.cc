#include "assay/faultinject/fault_plan.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "assay/backend/uapi_names.h"

namespace assay {
namespace {

constexpr int kLastErrno = 133;  // EHWPOISON, the last that Linux has

// Names that C has for an errno that Linux calls otherwise.
struct Alias {
  std::string_view name;
  int error;
};
constexpr Alias kAliases[] = {{"EWOULDBLOCK", EAGAIN}, {"EDEADLOCK", EDEADLK}, {"ENOTSUP", EOPNOTSUPP}};

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

Error wrong(const std::string& line) { return Error::invalid("fault plan: " + line); }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

template <typename Number>
std::optional<Number> number_from(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The next part of `rest` before `separator`, which is taken off.
std::string_view take_part(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

bool filters_registrations(const FaultPoint& point) { return (point.takes & kTakesRegisterFilter) != 0; }

UapiClass op_class(const FaultPoint& point) {
  return filters_registrations(point) ? UapiClass::kRegisterOp : UapiClass::kOpcode;
}

// One "KEY=VALUE" of a rule, and the words for its errors.
struct Setting {
  std::string_view key;
  std::string_view value;
  std::string_view rule;  // the whole rule's text

  Error bad_value(std::string_view right) const {
    return wrong(quoted(std::string(key) + "=" + std::string(value)) + " in " + quoted(rule) + ": " +
                 std::string(right));
  }
};

Result<void> set_count(std::uint64_t& target, const Setting& setting) {
  const auto value = number_from<std::uint64_t>(setting.value);
  if (!value.has_value() || *value == 0) return setting.bad_value("a whole number from 1 is wanted");
  target = *value;
  return {};
}

Result<void> set_probability(double& target, const Setting& setting) {
  double value = 0;
  const char* end = setting.value.data() + setting.value.size();
  const auto [parsed, error] = std::from_chars(setting.value.data(), end, value);
  if (error != std::errc{} || parsed != end || !(value > 0 && value <= 1)) {
    return setting.bad_value("a probability above 0 and up to 1 is wanted, such as 0.25");
  }
  target = value;
  return {};
}

Result<void> set_op(FaultRule& rule, const Setting& setting) {
  const UapiClass which = op_class(fault_point(rule.point));
  if (const NamedValue* entry = find_uapi(which, setting.value)) {
    rule.op = entry->value;
    return {};
  }
  const auto number = number_from<std::uint8_t>(setting.value);
  if (!number.has_value()) {
    return setting.bad_value(
        which == UapiClass::kOpcode
            ? "an opcode without IORING_OP_ is wanted, such as READ, or its number"
            : "a register opcode without IORING_ is wanted, such as REGISTER_FILES, or its number");
  }
  rule.op = *number;
  return {};
}

Result<void> set_error(FaultRule& rule, const Setting& setting) {
  const std::optional<int> error = errno_from_name(setting.value);
  if (!error.has_value()) return setting.bad_value("an errno is wanted, such as EIO or 5");
  rule.error = *error;
  return {};
}

Result<void> set_bit(FaultRule& rule, const Setting& setting) {
  const NamedValue* entry = find_uapi(UapiClass::kFeature, setting.value);
  if (entry == nullptr && setting.value.starts_with("FEAT_")) {
    entry = find_uapi(UapiClass::kFeature, setting.value.substr(std::strlen("FEAT_")));
  }
  if (entry == nullptr) return setting.bad_value("a feature without IORING_FEAT_ is wanted, such as EXT_ARG");
  rule.bit = entry->value;
  return {};
}

Result<void> apply_setting(FaultRule& rule, const Setting& setting) {
  if (setting.key == "nth") return set_count(rule.when.nth, setting);
  if (setting.key == "every") return set_count(rule.when.every, setting);
  if (setting.key == "from") return set_count(rule.when.from, setting);
  if (setting.key == "to") return set_count(rule.when.to, setting);
  if (setting.key == "prob") return set_probability(rule.when.probability, setting);
  if (setting.key == "op") return set_op(rule, setting);
  if (setting.key == "errno") return set_error(rule, setting);
  if (setting.key == "bit") return set_bit(rule, setting);
  if (setting.key == "bytes") return set_count(rule.bytes, setting);
  if (setting.key == "fd") {
    rule.fd = number_from<std::int32_t>(setting.value);
    if (!rule.fd.has_value()) return setting.bad_value("a file descriptor's number is wanted");
    return {};
  }
  if (setting.key == "user_data") {
    rule.user_data = number_from<std::uint64_t>(setting.value);
    if (!rule.user_data.has_value()) return setting.bad_value("a number is wanted, such as 7 or 0x1f");
    return {};
  }
  if (setting.key == "k") {
    const auto k = number_from<std::uint32_t>(setting.value);
    if (!k.has_value()) return setting.bad_value("a whole number from 1 is wanted");
    if (*k == 0) return setting.bad_value("where nothing is taken, the point is enter/eagain; k begins at 1");
    rule.k = *k;
    return {};
  }
  return wrong(
      "unknown setting " + quoted(setting.key) + " in " + quoted(setting.rule) +
      "; there are nth, every, from, to, prob (when), op, fd, user_data (which requests), errno, bytes, k, bit "
      "(how)");
}

Result<FaultRule> parse_rule(std::string_view text) {
  std::string_view rest = text;
  const std::string_view name = trimmed(take_part(rest, ':'));
  const FaultPoint* point = find_fault_point(name);
  if (point == nullptr) {
    return wrong("unknown point " + quoted(name) + "; did you mean " + quoted(short_name(nearest_fault_point(name))) +
                 "? (`assay faults` lists all)");
  }
  FaultRule rule{.point = point->id};
  std::vector<std::string_view> seen;
  while (!rest.empty()) {
    std::string_view part = trimmed(take_part(rest, ':'));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      return wrong(quoted(part) + " in " + quoted(text) + " is no setting; KEY=VALUE is wanted, such as nth=1");
    }
    const Setting setting{.key = part.substr(0, equals), .value = part.substr(equals + 1), .rule = text};
    for (const std::string_view key : seen) {
      if (key == setting.key) return wrong(quoted(key) + " is set twice in " + quoted(text));
    }
    seen.push_back(setting.key);
    if (Result<void> applied = apply_setting(rule, setting); !applied) return applied.error();
  }
  if (text.ends_with(':')) return wrong(quoted(text) + " ends with ':'; a setting is wanted after it");
  if (Result<void> checked = check_fault_rule(rule); !checked) return checked.error();
  return rule;
}

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}

}  // namespace

bool fault_tells(const FaultRule& rule, int error) {
  switch (const int tells = fault_point(rule.point).tells) {
    case kTellsNothing:
      return false;
    case kTellsItsErrno:
      return error == rule.error;
    case kTellsUnsupported:
      return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS;
    default:
      return error == tells;
  }
}

std::string errno_name(int error) {
  const int positive = error < 0 ? -error : error;
  const char* name = ::strerrorname_np(positive);
  return name != nullptr ? name : std::to_string(positive);
}

std::optional<int> errno_from_name(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.name == name) return alias.error;
  }
  for (int error = 1; error <= kLastErrno; ++error) {
    const char* known = ::strerrorname_np(error);
    if (known != nullptr && name == known) return error;
  }
  const auto number = number_from<int>(name);
  if (number.has_value() && *number >= 1 && *number <= kLastErrno) return number;
  return std::nullopt;
}

Result<void> check_fault_rule(const FaultRule& rule) {
  const FaultPoint& point = fault_point(rule.point);
  const std::string name = quoted(short_name(point));
  const auto refused = [&](std::string_view setting) {
    const std::string settings = fault_settings(point);
    return wrong(name + " does not take " + std::string(setting) + "=" +
                 (settings.empty() ? "; it takes no setting but the timing" : "; it takes " + settings));
  };
  if (rule.error != 0 && (point.takes & kTakesErrno) == 0) return refused("errno");
  if (rule.bytes != 0 && (point.takes & kTakesBytes) == 0) return refused("bytes");
  if (rule.k != 0 && (point.takes & kTakesK) == 0) return refused("k");
  if (rule.bit != 0 && (point.takes & kTakesBit) == 0) return refused("bit");
  if (rule.op.has_value() && (point.takes & (kTakesSqeFilter | kTakesRegisterFilter | kTakesOpcode)) == 0) {
    return refused("op");
  }
  if (rule.fd.has_value() && (point.takes & kTakesSqeFilter) == 0) return refused("fd");
  if (rule.user_data.has_value() && (point.takes & kTakesSqeFilter) == 0) return refused("user_data");

  if ((point.needs & kTakesErrno) != 0 && rule.error == 0) return wrong(name + " needs errno=, such as errno=EIO");
  if ((point.needs & kTakesBit) != 0 && rule.bit == 0) return wrong(name + " needs bit=, such as bit=EXT_ARG");
  if ((point.needs & kTakesOpcode) != 0 && !rule.op.has_value())
    return wrong(name + " needs op=, such as op=FTRUNCATE");

  const FaultTiming& when = rule.when;
  const bool timed = when != FaultTiming{};
  if (is_standing(point) && timed) {
    return wrong(name +
                 " holds always: what a kernel lacks does not come and go, so it takes no nth=, every=, from=, to= "
                 "or prob=");
  }
  if (when.nth != 0 && when != FaultTiming{.nth = when.nth}) {
    return wrong("nth= names one crossing of " + name + " and goes with no every=, from=, to= or prob=");
  }
  if (when.to != 0 && when.from > when.to) {
    return wrong("from=" + std::to_string(when.from) + " comes after to=" + std::to_string(when.to) + " for " + name);
  }
  if (!(when.probability > 0 && when.probability <= 1))
    return wrong("prob= of " + name + " is not above 0 and up to 1");
  return {};
}

Result<FaultPlan> parse_fault_plan(std::string_view text) {
  FaultPlan plan;
  if (trimmed(text).empty()) return plan;
  if (trimmed(text).front() == '{') return parse_fault_plan_json(text);
  std::string_view rest = text;
  bool more = true;
  while (more) {
    more = rest.find(',') != std::string_view::npos;
    const std::string_view item = trimmed(take_part(rest, ','));
    if (item.empty()) {
      return wrong("an empty item in " + quoted(text) + "; a rule or seed=N is wanted before and after each ','");
    }
    if (item.starts_with("seed=")) {
      const auto seed = number_from<std::uint64_t>(item.substr(std::strlen("seed=")));
      if (!seed.has_value()) return wrong(quoted(item) + ": a whole number is wanted");
      plan.seed = *seed;
      continue;
    }
    Result<FaultRule> rule = parse_rule(item);
    if (!rule) return rule.error();
    plan.rules.push_back(*rule);
  }
  return plan;
}

std::string format_fault_rule(const FaultRule& rule) {
  const FaultPoint& point = fault_point(rule.point);
  std::string text(short_name(point));
  const auto append = [&text](std::string_view key, const std::string& value) {
    text += ':';
    text += key;
    text += '=';
    text += value;
  };
  if (rule.when.nth != 0) append("nth", std::to_string(rule.when.nth));
  if (rule.when.every != 0) append("every", std::to_string(rule.when.every));
  if (rule.when.from != 0) append("from", std::to_string(rule.when.from));
  if (rule.when.to != 0) append("to", std::to_string(rule.when.to));
  if (rule.when.probability != 1.0) append("prob", shortest(rule.when.probability));
  if (rule.op.has_value()) append("op", uapi_name(op_class(point), *rule.op));
  if (rule.fd.has_value()) append("fd", std::to_string(*rule.fd));
  if (rule.user_data.has_value()) append("user_data", std::to_string(*rule.user_data));
  if (rule.error != 0) append("errno", errno_name(rule.error));
  if (rule.bytes != 0) append("bytes", std::to_string(rule.bytes));
  if (rule.k != 0) append("k", std::to_string(rule.k));
  if (rule.bit != 0) append("bit", uapi_name(UapiClass::kFeature, rule.bit));
  return text;
}

std::string format_fault_plan(const FaultPlan& plan) {
  std::string text;
  for (const FaultRule& rule : plan.rules) {
    if (!text.empty()) text += ',';
    text += format_fault_rule(rule);
  }
  if (plan.seed != 0) text += (text.empty() ? "seed=" : ",seed=") + std::to_string(plan.seed);
  return text;
}

}  // namespace assay
