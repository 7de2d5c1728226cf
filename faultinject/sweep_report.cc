#include "assay/faultinject/sweep_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "assay/faultinject/xml_text.h"

namespace assay {
namespace {

using internal::xml_text;
using Json = nlohmann::ordered_json;

constexpr SweepFinding::Kind kKinds[] = {SweepFinding::Kind::kViolation, SweepFinding::Kind::kStuck,
                                         SweepFinding::Kind::kCrash, SweepFinding::Kind::kHang};

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// What nobody promised to be UTF-8, such as what a crashed program wrote.
std::string printable(std::string_view text) {
  std::string clean;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    clean += (byte >= 0x20 && byte < 0x7f) || c == '\n' ? c : '?';
  }
  return clean;
}

std::string shell_quoted(const std::string& text) { return "'" + text + "'"; }

std::string indented(const std::string& text, const std::string& by) {
  std::string lines = by;
  for (const char c : text) {
    lines += c;
    if (c == '\n') lines += by;
  }
  return lines;
}

Result<SweepFinding::Kind> kind_from(const std::string& name) {
  for (const SweepFinding::Kind kind : kKinds) {
    if (finding_kind_name(kind) == name) return kind;
  }
  return Error::invalid("'" + name + "' is no kind of finding");
}

Result<void> read_line(const Json& line, SweepReport& report) {
  const std::string type = line.at("type");
  if (type == "sweep") {
    report.kernel = line.at("kernel");
    report.seed = line.at("seed");
    report.shard = line.at("shard");
    report.shards = line.at("shards");
  } else if (type == "scenario") {
    report.scenarios.push_back({.scenario = line.at("scenario"),
                                .lacks = line.at("lacks"),
                                .crossings = line.at("crossings"),
                                .singles = line.at("singles"),
                                .pairs = line.at("pairs"),
                                .random = line.at("random"),
                                .fired = line.at("fired"),
                                .failed = line.at("failed"),
                                .seconds = line.at("seconds"),
                                .findings = {}});
  } else if (type == "finding") {
    if (report.scenarios.empty()) return Error::invalid("a finding stands before its scenario");
    Result<SweepFinding::Kind> kind = kind_from(line.at("kind"));
    if (!kind) return kind.error();
    Result<FaultPlan> plan = parse_fault_plan(line.at("plan").get<std::string>());
    if (!plan) return plan.error();
    report.scenarios.back().findings.push_back({.scenario = line.at("scenario"),
                                                .kind = *kind,
                                                .what = line.at("what"),
                                                .plan = *std::move(plan),
                                                .schedules = line.at("schedules")});
  } else {
    return Error::invalid("'" + type + "' is no type of line");
  }
  return {};
}

// Findings of shards that say the same are one.
void add_finding(std::vector<SweepFinding>& findings, SweepFinding finding) {
  for (SweepFinding& known : findings) {
    if (known.kind != finding.kind || known.plan != finding.plan) continue;
    known.schedules += finding.schedules;
    return;
  }
  findings.push_back(std::move(finding));
}

}  // namespace

void write_sweep_json(const SweepReport& report, std::ostream& out) {
  out << Json{{"type", "sweep"},
              {"kernel", report.kernel},
              {"seed", report.seed},
              {"shard", report.shard},
              {"shards", report.shards}}
             .dump()
      << '\n';
  for (const ScenarioReport& scenario : report.scenarios) {
    out << Json{{"type", "scenario"},          {"scenario", scenario.scenario},
                {"lacks", scenario.lacks},     {"crossings", scenario.crossings},
                {"singles", scenario.singles}, {"pairs", scenario.pairs},
                {"random", scenario.random},   {"fired", scenario.fired},
                {"failed", scenario.failed},   {"seconds", scenario.seconds}}
               .dump()
        << '\n';
    for (const SweepFinding& finding : scenario.findings) {
      out << Json{{"type", "finding"},
                  {"scenario", finding.scenario},
                  {"kind", finding_kind_name(finding.kind)},
                  {"what", printable(finding.what)},
                  {"plan", format_fault_plan(finding.plan)},
                  {"schedules", finding.schedules},
                  {"replay", replay_line(report, finding)}}
                 .dump()
          << '\n';
    }
  }
}

Result<SweepReport> read_sweep_json(std::string_view text) {
  SweepReport report;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    try {
      if (Result<void> read = read_line(Json::parse(line), report); !read) {
        return Error::invalid("line " + std::to_string(number) + ": " + read.error().message());
      }
    } catch (const Json::exception& error) {
      return Error::invalid("line " + std::to_string(number) + " is none of a sweep's: " + error.what());
    }
  }
  if (report.kernel.empty()) return Error::invalid("it has no line of type \"sweep\"");
  return report;
}

Result<SweepReport> merge_sweeps(std::vector<SweepReport> shards) {
  if (shards.empty()) return Error::invalid("there is nothing to merge");
  std::sort(shards.begin(), shards.end(), [](const auto& a, const auto& b) { return a.shard < b.shard; });
  SweepReport merged = shards.front();
  merged.shard = 0;
  merged.shards = 1;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const SweepReport& shard = shards[i];
    if (shard.kernel != merged.kernel || shard.seed != merged.seed || shard.shards != shards.size()) {
      return Error::invalid("these are not the shards of one sweep: " + std::to_string(shard.shards) + " shards on " +
                            shard.kernel + " with seed " + std::to_string(shard.seed));
    }
    if (shard.shard != i) {
      return Error::invalid("shard " + std::to_string(i) + " of " + std::to_string(shards.size()) +
                            (shard.shard < i ? " is there twice" : " is missing"));
    }
    if (i == 0) continue;
    for (const ScenarioReport& more : shard.scenarios) {
      const auto known =
          std::find_if(merged.scenarios.begin(), merged.scenarios.end(),
                       [&](const ScenarioReport& scenario) { return scenario.scenario == more.scenario; });
      if (known == merged.scenarios.end()) {
        merged.scenarios.push_back(more);
        continue;
      }
      known->singles += more.singles;
      known->pairs += more.pairs;
      known->random += more.random;
      known->fired += more.fired;
      known->failed += more.failed;
      known->seconds += more.seconds;
      for (const SweepFinding& finding : more.findings) add_finding(known->findings, finding);
    }
  }
  return merged;
}

std::string replay_line(const SweepReport& report, const SweepFinding& finding) {
  std::string line = "assay replay " + finding.scenario + " --kernel " + report.kernel;
  if (!finding.plan.empty()) line += " --plan " + shell_quoted(format_fault_plan(finding.plan));
  return line;
}

void write_sweep_junit(const SweepReport& report, std::ostream& out) {
  std::uint64_t failures = 0;
  double seconds = 0;
  std::uint64_t skipped = 0;
  for (const ScenarioReport& scenario : report.scenarios) {
    failures += scenario.failed != 0 ? 1 : 0;
    skipped += scenario.lacks.empty() ? 0 : 1;
    seconds += scenario.seconds;
  }
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"" << report.scenarios.size()
      << "\" failures=\"" << failures << "\" errors=\"0\" time=\"" << fixed(seconds, 3)
      << "\">\n<testsuite name=\"Sweep " << xml_text(report.kernel) << "\" tests=\"" << report.scenarios.size()
      << "\" failures=\"" << failures << "\" errors=\"0\" skipped=\"" << skipped << "\" time=\"" << fixed(seconds, 3)
      << "\">\n";
  for (const ScenarioReport& scenario : report.scenarios) {
    out << "<testcase classname=\"Sweep\" name=\"" << xml_text(scenario.scenario) << "\" time=\""
        << fixed(scenario.seconds, 3) << "\">";
    if (!scenario.lacks.empty()) out << "\n<skipped message=\"needs " << xml_text(scenario.lacks) << "\"/>";
    for (const SweepFinding& finding : scenario.findings) {
      out << "\n<failure message=\"" << xml_text(format_fault_plan(finding.plan)) << "\">" << xml_text(finding.what)
          << "&#10;" << xml_text(replay_line(report, finding)) << "</failure>";
    }
    out << "</testcase>\n";
  }
  out << "</testsuite>\n</testsuites>\n";
}

void print_sweep(const SweepReport& report, std::ostream& out) {
  std::size_t width = 8;
  for (const ScenarioReport& scenario : report.scenarios) width = std::max(width, scenario.scenario.size());
  const auto row = [&](const std::string& name, const std::vector<std::string>& cells) {
    out << name << std::string(width - std::min(width, name.size()), ' ');
    for (const std::string& cell : cells) out << std::string(11 - std::min<std::size_t>(11, cell.size()), ' ') << cell;
    out << '\n';
  };
  row("scenario", {"crossings", "singles", "pairs", "random", "fired", "failed", "a second"});
  std::uint64_t failed = 0;
  std::uint64_t findings = 0;
  std::size_t left_out = 0;
  double seconds = 0;
  for (const ScenarioReport& scenario : report.scenarios) {
    if (!scenario.lacks.empty()) {
      ++left_out;
      row(scenario.scenario, {" left out: the kernel has no " + scenario.lacks});
      continue;
    }
    failed += scenario.failed;
    findings += scenario.findings.size();
    seconds += scenario.seconds;
    const double rate = scenario.seconds > 0 ? static_cast<double>(scenario.schedules()) / scenario.seconds : 0;
    row(scenario.scenario, {std::to_string(scenario.crossings), std::to_string(scenario.singles),
                            std::to_string(scenario.pairs), std::to_string(scenario.random),
                            std::to_string(scenario.fired), std::to_string(scenario.failed), fixed(rate, 0)});
  }
  for (const ScenarioReport& scenario : report.scenarios) {
    for (const SweepFinding& finding : scenario.findings) {
      out << "\n"
          << scenario.scenario << ": " << finding_kind_name(finding.kind) << ", in " << finding.schedules
          << (finding.schedules == 1 ? " schedule\n" : " schedules\n") << indented(printable(finding.what), "  ")
          << "\n  " << replay_line(report, finding) << '\n';
    }
  }
  const std::size_t run = report.scenarios.size() - left_out;
  out << '\n'
      << run << (run == 1 ? " scenario, " : " scenarios, ") << report.schedules() << " schedules on " << report.kernel
      << " in " << fixed(seconds, 1) << " s: " << failed << " failed, " << findings
      << (findings == 1 ? " finding" : " findings") << '\n';
}

}  // namespace assay
