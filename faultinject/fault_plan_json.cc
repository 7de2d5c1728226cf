// The JSON form of plans, for programs: {"seed": 3, "rules": [{"point": "enter/take", "nth": 2, "k": 1}]}. Rules have
// the settings of the text form, which is what each is read by, so that both take the same and refuse the same.

#include <nlohmann/json.hpp>

#include "assay/faultinject/fault_plan.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Error wrong(const std::string& line) { return Error::invalid("fault plan: " + line); }

// A setting's value as the text form has it. Nothing where it is no word and no number.
std::string value_text(const Json& value) {
  if (value.is_number()) return value.dump();
  if (!value.is_string()) return {};
  const std::string text = value.get<std::string>();
  return text.find_first_of(",:=") == std::string::npos ? text : std::string();
}

Result<std::string> rule_text(const Json& rule) {
  if (!rule.is_object() || !rule.contains("point")) return wrong("a rule in JSON is an object with a \"point\"");
  std::string text = value_text(rule["point"]);
  if (text.empty()) return wrong(rule["point"].dump() + " is no point");
  for (const auto& [key, value] : rule.items()) {
    if (key == "point") continue;
    const std::string words = value_text(value);
    if (words.empty() || key.find_first_of(",:=") != std::string::npos) {
      return wrong("\"" + key + "\": " + value.dump() + " is no setting; a word or a number is wanted");
    }
    text += ":" + key + "=" + words;
  }
  return text;
}

Json value_json(const std::string& text) {
  const Json value = Json::parse(text, nullptr, false);
  return value.is_number() ? value : Json(text);
}

}  // namespace

Result<FaultPlan> parse_fault_plan_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return wrong("this is no JSON object: " + std::string(text.substr(0, 40)));
  std::string items;
  const auto append = [&items](const std::string& item) { items += (items.empty() ? "" : ",") + item; };
  for (const auto& [key, value] : json.items()) {
    if (key == "seed") {
      append("seed=" + value.dump());
    } else if (key == "rules" && value.is_array()) {
      for (const Json& rule : value) {
        Result<std::string> words = rule_text(rule);
        if (!words) return words.error();
        append(*words);
      }
    } else {
      return wrong("\"" + key + "\" is none of \"seed\", a number, and \"rules\", an array");
    }
  }
  return parse_fault_plan(items);
}

std::string format_fault_plan_json(const FaultPlan& plan) {
  Json rules = Json::array();
  for (const FaultRule& rule : plan.rules) {
    Json object;
    const std::string text = format_fault_rule(rule);
    std::size_t begin = text.find(':');
    object["point"] = text.substr(0, begin);
    while (begin != std::string::npos) {
      const std::size_t end = text.find(':', begin + 1);
      const std::string setting = text.substr(begin + 1, end == std::string::npos ? end : end - begin - 1);
      const std::size_t equals = setting.find('=');
      object[setting.substr(0, equals)] = value_json(setting.substr(equals + 1));
      begin = end;
    }
    rules.push_back(std::move(object));
  }
  Json json;
  if (plan.seed != 0) json["seed"] = plan.seed;
  json["rules"] = std::move(rules);
  return json.dump();
}

}  // namespace assay
