#include "halftone/cli/application.h"

#include <algorithm>
#include <sstream>

#include "halftone/base/json.h"
#include "tests/support/test.h"

namespace halftone::cli {
namespace {

struct Outcome {
  int code = -1;
  std::string out, err;
};

Outcome halftone(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  Outcome outcome;
  outcome.code = run(arguments, out, err);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

// A usage error: exit 2, nothing on stdout, one line on stderr that contains `text`.
void expect_usage_error(const std::vector<std::string>& arguments, const std::string& text) {
  const Outcome outcome = halftone(arguments);
  EXPECT_EQ(outcome.code, kUsage) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
}

TEST(CommandLine, HelpAndVersionSucceed) {
  EXPECT_EQ(halftone({"--help"}).code, 0);
  EXPECT_NE(halftone({"--help"}).out.find("doctor"), std::string::npos);
  EXPECT_EQ(halftone({"--version"}).code, 0);
  EXPECT_EQ(halftone({"--version"}).out.rfind("halftone ", 0), 0u);
}

TEST(CommandLine, WithoutACommandOrWithAnUnknownOneIsAUsageError) {
  expect_usage_error({}, "no command; expected");
  expect_usage_error({"docter"}, "did you mean \"doctor\"");
  expect_usage_error({"doctor", "--nonsense"}, "--nonsense");
}

TEST(CommandLine, DoctorRejectsATimeThatIsNone) {
  for (const char* value : {"0", "-1", "nan", "inf", "soon"}) {
    expect_usage_error({"doctor", "--seconds", value}, "expected a finite number above 0");
  }
}

TEST(Doctor, JsonHasASpeedForEachFormat) {
  const Outcome outcome = halftone({"doctor", "--json", "--seconds", "0.3"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  ASSERT_EQ(json.at("formats").as_array().size(), 3u);
  for (const Json& format : json.at("formats").as_array()) {
    for (const char* key : {"matmul_gflops", "conv_forward_gflops", "conv_backward_gflops"}) {
      EXPECT_GT(format.at(key).as_double(), 0.0) << format.at("name").as_string() << " " << key;
    }
  }
  EXPECT_FALSE(json.at("advice").as_string().empty());
  EXPECT_GE(json.at("threads").as_int(), 1);
}

}  // namespace
}  // namespace halftone::cli
