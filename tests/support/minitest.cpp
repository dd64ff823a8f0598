// The runner behind minitest.h: --gtest_filter, --gtest_brief, --gtest_list_tests and
// --gtest_output=json:FILE. Empty where there is a GoogleTest.
#ifdef HALFTONE_MINITEST

#include "tests/support/minitest.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <vector>

#include "halftone/base/json.h"
#include "halftone/base/text.h"

namespace testing {
namespace minitest {
namespace {

struct Case {
  std::string suite, name, file;
  int line;
  Maker maker;
  std::vector<std::string> failures{};
  std::optional<std::string> skipped{};
  double seconds = 0;

  std::string full_name() const { return suite + "." + name; }
  const char* mark() const {
    return !failures.empty() ? "[  FAILED  ]" : skipped ? "[  SKIPPED ]" : "[       OK ]";
  }
};

struct Options {
  std::string filter = "*", json;
  bool brief = false, list = false;
};

Options g_options;
std::mutex g_mutex;  // over what the running case has recorded
Case* g_running = nullptr;
thread_local std::vector<std::string> t_traces;

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

std::string place(const char* file, int line) {
  return std::string(file) + ":" + std::to_string(line);
}

bool any_matches(const std::string& globs, const std::string& name) {
  std::istringstream parts(globs);
  std::string glob;
  while (std::getline(parts, glob, ':')) {
    if (halftone::glob_match(glob, name)) return true;
  }
  return false;
}

// "A*:B.c-A.slow": names that match a glob before the dash and none after it.
bool selected(const Case& test) {
  const auto dash = g_options.filter.find('-');
  const std::string wanted = g_options.filter.substr(0, dash);
  if (!any_matches(wanted.empty() ? "*" : wanted, test.full_name())) return false;
  return dash == std::string::npos ||
         !any_matches(g_options.filter.substr(dash + 1), test.full_name());
}

void run_body(Case& test) {
  try {
    std::unique_ptr<Test>(test.maker())->TestBody();
  } catch (const std::exception& error) {
    Report(Report::Kind::failure, test.file.c_str(), test.line,
           std::string("An exception was thrown in the test body: ") + error.what()) = Message();
  } catch (...) {
    Report(Report::Kind::failure, test.file.c_str(), test.line,
           "An unknown exception was thrown in the test body") = Message();
  }
}

void run(Case& test) {
  if (!g_options.brief) std::printf("[ RUN      ] %s\n", test.full_name().c_str());
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  g_running = &test;
  run_body(test);
  g_running = nullptr;
  test.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!g_options.brief || !test.failures.empty()) {
    std::printf("%s %s (%.0f ms)\n", test.mark(), test.full_name().c_str(), test.seconds * 1e3);
  }
  std::fflush(stdout);
}

using halftone::Json;

std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3fs", value);
  return text;
}

Json report(const Case& test) {
  Json json = Json::object();
  json["name"] = test.name;
  json["file"] = test.file;
  json["line"] = test.line;
  json["status"] = "RUN";
  json["result"] = test.skipped ? "SKIPPED" : "COMPLETED";
  json["time"] = seconds(test.seconds);
  json["classname"] = test.suite;
  for (const auto& failure : test.failures) {
    Json entry = Json::object();
    entry["failure"] = failure;
    entry["type"] = "";
    json["failures"].push_back(entry);
  }
  if (test.skipped) {
    Json entry = Json::object();
    entry["message"] = *test.skipped;
    json["skipped"].push_back(entry);
  }
  return json;
}

// GoogleTest's totals, of one suite or of all.
Json totals(const std::string& name, const std::vector<const Case*>& tests) {
  int failed = 0;
  double time = 0;
  for (const Case* test : tests) {
    failed += !test->failures.empty();
    time += test->seconds;
  }
  Json json = Json::object();
  json["name"] = name;
  json["tests"] = static_cast<int>(tests.size());
  json["failures"] = failed;
  json["disabled"] = 0;
  json["errors"] = 0;
  json["time"] = seconds(time);
  return json;
}

bool write_report(const std::vector<const Case*>& tests) {
  std::vector<std::pair<std::string, std::vector<const Case*>>> suites;
  for (const Case* test : tests) {
    std::size_t i = 0;
    while (i < suites.size() && suites[i].first != test->suite) ++i;
    if (i == suites.size()) suites.emplace_back(test->suite, std::vector<const Case*>());
    suites[i].second.push_back(test);
  }
  Json json = totals("AllTests", tests);
  json["testsuites"] = Json::array();
  for (const auto& [name, members] : suites) {
    Json suite = totals(name, members);
    for (const Case* test : members) suite["testsuite"].push_back(report(*test));
    json["testsuites"].push_back(suite);
  }
  std::ofstream out(g_options.json);
  out << json.dump(2) << "\n";
  if (out.flush()) return true;
  std::fprintf(stderr, "cannot write %s\n", g_options.json.c_str());
  return false;
}

}  // namespace

bool add_test(const char* suite, const char* name, const char* file, int line, Maker maker) {
  cases().push_back({suite, name, file, line, maker});
  return true;
}

void Report::operator=(const Message& message) const {
  if (kind_ == Kind::success) return;
  const std::lock_guard lock(g_mutex);
  if (kind_ == Kind::skip) {
    g_running->skipped = message.str();
    if (!g_options.brief) {
      std::printf("%s: Skipped\n%s\n", place(file_, line_).c_str(), message.str().c_str());
    }
    return;
  }
  std::string text = place(file_, line_) + ": Failure\n" + text_;
  if (!message.str().empty()) text += "\n" + message.str();
  for (const auto& trace : t_traces) text += "\n  " + trace;
  std::printf("%s\n", text.c_str());
  g_running->failures.push_back(text);
}

int run_all_tests() {
  std::vector<const Case*> ran;
  std::size_t failed = 0, skipped = 0;
  for (Case& test : cases()) {
    if (!selected(test)) continue;
    if (g_options.list) {
      std::printf("%s\n", test.full_name().c_str());
      continue;
    }
    run(test);
    ran.push_back(&test);
    failed += !test.failures.empty();
    skipped += test.failures.empty() && test.skipped;
  }
  if (g_options.list) return 0;
  const bool written = g_options.json.empty() || write_report(ran);
  std::printf("[==========] %zu tests ran.\n", ran.size());
  std::printf("[  PASSED  ] %zu tests.\n", ran.size() - failed - skipped);
  if (skipped) std::printf("[  SKIPPED ] %zu tests.\n", skipped);
  if (failed) std::printf("[  FAILED  ] %zu tests, listed below:\n", failed);
  for (const Case* test : ran) {
    if (!test->failures.empty()) {
      std::printf("[  FAILED  ] %s\n", test->full_name().c_str());
    }
  }
  return failed || !written ? 1 : 0;
}

}  // namespace minitest

void ScopedTrace::push(const char* file, int line, const std::string& message) {
  minitest::t_traces.push_back(minitest::place(file, line) + ": " + message);
}

ScopedTrace::~ScopedTrace() { minitest::t_traces.pop_back(); }

void InitGoogleTest(int* argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < *argc; ++i) {
    const std::string argument = argv[i];
    const auto equals = argument.find('=');
    const std::string key = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    auto& options = minitest::g_options;
    if (key == "--gtest_filter") {
      options.filter = value;
    } else if (key == "--gtest_output" && value.starts_with("json:")) {
      options.json = value.substr(5);
    } else if (key == "--gtest_brief") {
      options.brief = value != "0";
    } else if (key == "--gtest_list_tests") {
      options.list = true;
    } else if (key.starts_with("--gtest_")) {
      std::fprintf(stderr, "%s is not known to this stand-in and is ignored\n", argument.c_str());
    } else {
      argv[kept++] = argv[i];
    }
  }
  *argc = kept;
}

}  // namespace testing

#endif  // HALFTONE_MINITEST
