// What Halftone's tests use of GoogleTest, for machines that have none (preset cuda): the same
// names, the same output, the same command line and JSON report as far as a runner reads them.
#pragma once

// Comparing int with size_t in EXPECT_EQ is as quiet as in GoogleTest's own (system) header.
#pragma GCC system_header

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

namespace testing {

// Collects what is streamed after an assertion.
class Message {
 public:
  template <class T>
  Message& operator<<(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      text_ << (value ? "true" : "false");
    } else {
      text_ << value;
    }
    return *this;
  }
  Message& operator<<(std::ostream& (*manipulator)(std::ostream&)) {
    text_ << manipulator;
    return *this;
  }
  std::string str() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

class Test {
 public:
  virtual ~Test() = default;
  virtual void TestBody() = 0;
};

void InitGoogleTest(int* argc, char** argv);

// Adds a line to every failure while it lives, on its own thread.
class ScopedTrace {
 public:
  template <class T>
  ScopedTrace(const char* file, int line, const T& message) {
    push(file, line, (Message() << message).str());
  }
  ScopedTrace(const char* file, int line, const Message& message) {
    push(file, line, message.str());
  }
  ScopedTrace(const ScopedTrace&) = delete;
  ScopedTrace& operator=(const ScopedTrace&) = delete;
  ~ScopedTrace();

 private:
  static void push(const char* file, int line, const std::string& message);
};

namespace minitest {

using Maker = Test* (*)();
bool add_test(const char* suite, const char* name, const char* file, int line, Maker maker);
int run_all_tests();

// Takes the streamed message: `Report(...) = Message() << ...`.
class Report {
 public:
  enum class Kind { success, failure, skip };
  Report(Kind kind, const char* file, int line, std::string text = "")
      : kind_(kind), file_(file), line_(line), text_(std::move(text)) {}
  void operator=(const Message& message) const;

 private:
  Kind kind_;
  const char* file_;
  int line_;
  std::string text_;
};

template <class T>
std::string print(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_same_v<T, bool>) {
    out << (value ? "true" : "false");
  } else if constexpr (std::is_enum_v<T>) {
    out << static_cast<std::int64_t>(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    out.precision(std::numeric_limits<T>::max_digits10);
    out << value;
  } else if constexpr (std::is_convertible_v<const T&, std::string>) {
    out << '"' << static_cast<std::string>(value) << '"';
  } else if constexpr (requires { out << value; }) {
    out << value;
  } else if constexpr (requires { value.begin() != value.end(); }) {
    out << "{";
    bool first = true;
    for (const auto& element : value) {
      out << (std::exchange(first, false) ? " " : ", ") << print(element);
    }
    out << " }";
  } else if constexpr (requires { value.has_value(), *value; }) {
    out << (value.has_value() ? print(*value) : "nullopt");
  } else {
    out << "an object of " << sizeof(T) << " bytes";
  }
  return out.str();
}

// Empty: the assertion holds. Otherwise what is printed.
using Outcome = std::optional<std::string>;

#define MINITEST_COMPARISON_(name, op)                                                     \
  template <class A, class B>                                                              \
  Outcome compare_##name(const char* a_text, const char* b_text, const A& a, const B& b) { \
    if (a op b) return std::nullopt;                                                       \
    return std::string("Expected: (") + a_text + ") " #op " (" + b_text +                  \
           "), actual: " + print(a) + " vs " + print(b);                                   \
  }
MINITEST_COMPARISON_(EQ, ==)
MINITEST_COMPARISON_(NE, !=)
MINITEST_COMPARISON_(LT, <)
MINITEST_COMPARISON_(LE, <=)
MINITEST_COMPARISON_(GT, >)
MINITEST_COMPARISON_(GE, >=)
#undef MINITEST_COMPARISON_

inline Outcome check_bool(const char* text, bool value, bool expected) {
  if (value == expected) return std::nullopt;
  return std::string("Value of: ") + text + "\n  Actual: " + (value ? "true" : "false") +
         "\nExpected: " + (expected ? "true" : "false");
}

inline Outcome check_near(const char* a_text, const char* b_text, double a, double b,
                          double error) {
  if (a == b || std::fabs(a - b) <= error) return std::nullopt;
  return std::string("The difference between ") + a_text + " and " + b_text + " is " +
         print(std::fabs(a - b)) + ", which exceeds " + print(error) + ": " + print(a) + " vs " +
         print(b);
}

// Within four units in the last place, as GoogleTest has it.
template <class T>
Outcome check_ulps(const char* a_text, const char* b_text, T a, T b) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  T low = b, high = b;
  for (int i = 0; i < 4; ++i) {
    low = std::nextafter(low, -kInfinity);
    high = std::nextafter(high, kInfinity);
  }
  if (a >= low && a <= high) return std::nullopt;
  return std::string("Expected equality of ") + a_text + " and " + b_text + ": " + print(a) +
         " vs " + print(b);
}

inline Outcome check_strings(const char* a_text, const char* b_text, const char* a, const char* b) {
  if (a == b || (a && b && std::strcmp(a, b) == 0)) return std::nullopt;
  return std::string("Expected equality of ") + a_text + " and " + b_text + ": \"" +
         (a ? a : "(null)") + "\" vs \"" + (b ? b : "(null)") + "\"";
}

// body: throws or does not. E: what it must throw.
template <class E, class Body>
Outcome check_throws(const char* text, const char* type, Body&& body) {
  std::string happened = "it throws nothing";
  try {
    body();
  } catch (const E&) {
    return std::nullopt;
  } catch (const std::exception& error) {
    happened = std::string("it throws another exception: ") + error.what();
  } catch (...) {
    happened = "it throws a different type";
  }
  return std::string("Expected: ") + text + " throws " + type + "; " + happened;
}

template <class Body>
Outcome check_no_throw(const char* text, Body&& body) {
  try {
    body();
    return std::nullopt;
  } catch (const std::exception& error) {
    return std::string("Expected: ") + text + " does not throw; it throws: " + error.what();
  } catch (...) {
    return std::string("Expected: ") + text + " does not throw; it does";
  }
}

}  // namespace minitest
}  // namespace testing

inline int RUN_ALL_TESTS() { return testing::minitest::run_all_tests(); }

#define TEST(suite, name)                                                   \
  class suite##_##name##_Test : public ::testing::Test {                    \
    void TestBody() override;                                               \
    static const bool added_;                                               \
  };                                                                        \
  const bool suite##_##name##_Test::added_ = ::testing::minitest::add_test( \
      #suite, #name, __FILE__, __LINE__,                                    \
      []() -> ::testing::Test* { return new suite##_##name##_Test; });      \
  void suite##_##name##_Test::TestBody()

#define MINITEST_REPORT_(kind, ...)                                                        \
  ::testing::minitest::Report(::testing::minitest::Report::Kind::kind, __FILE__, __LINE__, \
                              ##__VA_ARGS__) = ::testing::Message()
// The switch lets `if (x) EXPECT_EQ(…); else …` mean what it says.
#define MINITEST_CHECK_(outcome, leave)                                                       \
  switch (0)                                                                                  \
  case 0:                                                                                     \
  default:                                                                                    \
    if (const ::testing::minitest::Outcome minitest_outcome = (outcome); !minitest_outcome) { \
    } else                                                                                    \
      leave MINITEST_REPORT_(failure, *minitest_outcome)

#define MINITEST_COMPARE_(name, a, b) ::testing::minitest::compare_##name(#a, #b, a, b)
#define EXPECT_EQ(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(EQ, a, b), )
#define EXPECT_NE(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(NE, a, b), )
#define EXPECT_LT(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(LT, a, b), )
#define EXPECT_LE(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(LE, a, b), )
#define EXPECT_GT(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(GT, a, b), )
#define EXPECT_GE(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(GE, a, b), )
#define ASSERT_EQ(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(EQ, a, b), return )
#define ASSERT_NE(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(NE, a, b), return )
#define ASSERT_LT(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(LT, a, b), return )
#define ASSERT_LE(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(LE, a, b), return )
#define ASSERT_GT(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(GT, a, b), return )
#define ASSERT_GE(a, b) MINITEST_CHECK_(MINITEST_COMPARE_(GE, a, b), return )

#define MINITEST_BOOL_(x, expected) \
  ::testing::minitest::check_bool(#x, static_cast<bool>(x), expected)
#define EXPECT_TRUE(x) MINITEST_CHECK_(MINITEST_BOOL_(x, true), )
#define EXPECT_FALSE(x) MINITEST_CHECK_(MINITEST_BOOL_(x, false), )
#define ASSERT_TRUE(x) MINITEST_CHECK_(MINITEST_BOOL_(x, true), return )
#define ASSERT_FALSE(x) MINITEST_CHECK_(MINITEST_BOOL_(x, false), return )

#define MINITEST_NEAR_(a, b, error) ::testing::minitest::check_near(#a, #b, a, b, error)
#define EXPECT_NEAR(a, b, error) MINITEST_CHECK_(MINITEST_NEAR_(a, b, error), )
#define ASSERT_NEAR(a, b, error) MINITEST_CHECK_(MINITEST_NEAR_(a, b, error), return )
#define MINITEST_ULPS_(type, a, b) ::testing::minitest::check_ulps<type>(#a, #b, a, b)
#define EXPECT_DOUBLE_EQ(a, b) MINITEST_CHECK_(MINITEST_ULPS_(double, a, b), )
#define ASSERT_DOUBLE_EQ(a, b) MINITEST_CHECK_(MINITEST_ULPS_(double, a, b), return )
#define EXPECT_FLOAT_EQ(a, b) MINITEST_CHECK_(MINITEST_ULPS_(float, a, b), )
#define ASSERT_FLOAT_EQ(a, b) MINITEST_CHECK_(MINITEST_ULPS_(float, a, b), return )
#define MINITEST_STRINGS_(a, b) ::testing::minitest::check_strings(#a, #b, a, b)
#define EXPECT_STREQ(a, b) MINITEST_CHECK_(MINITEST_STRINGS_(a, b), )
#define ASSERT_STREQ(a, b) MINITEST_CHECK_(MINITEST_STRINGS_(a, b), return )

#define MINITEST_THROWS_(statement, type) \
  ::testing::minitest::check_throws<type>(#statement, #type, [&] { statement; })
#define EXPECT_THROW(statement, type) MINITEST_CHECK_(MINITEST_THROWS_(statement, type), )
#define ASSERT_THROW(statement, type) MINITEST_CHECK_(MINITEST_THROWS_(statement, type), return )
#define MINITEST_NO_THROW_(statement) \
  ::testing::minitest::check_no_throw(#statement, [&] { statement; })
#define EXPECT_NO_THROW(statement) MINITEST_CHECK_(MINITEST_NO_THROW_(statement), )
#define ASSERT_NO_THROW(statement) MINITEST_CHECK_(MINITEST_NO_THROW_(statement), return )

#define SUCCEED() MINITEST_REPORT_(success)
#define ADD_FAILURE() MINITEST_REPORT_(failure, "Failed")
#define FAIL() return MINITEST_REPORT_(failure, "Failed")
#define GTEST_SKIP() return MINITEST_REPORT_(skip)
#define MINITEST_JOIN_(a, b) a##b
#define MINITEST_TRACE_(line) MINITEST_JOIN_(minitest_trace_, line)
#define SCOPED_TRACE(message) \
  const ::testing::ScopedTrace MINITEST_TRACE_(__LINE__)(__FILE__, __LINE__, message)
