"""The stand-in for GoogleTest: what fails is reported, once, in the JSON that run_tests.py reads."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX", "c++")
SOURCES = ("tests/python/minitest/sample.cpp", "tests/support/main.cpp", "tests/support/minitest.cpp",
           "halftone/base/error.cpp", "halftone/base/json.cpp", "halftone/base/text.cpp")
FAILURES = {"EveryExpectationAndGoesOn": 18, "AssertionLeavesTheTest": 1, "FailLeavesTheTest": 1,
            "ByAnException": 1, "WithItsTraces": 1, "OnAnotherThread": 1}


@unittest.skipIf(shutil.which(COMPILER) is None, "no C++ compiler")
class Minitest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.binary = pathlib.Path(cls.folder.name) / "sample"
        subprocess.run([COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-pthread",
                        "-DHALFTONE_MINITEST", f"-I{ROOT}", "-o", cls.binary, *SOURCES],
                       cwd=ROOT, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_sample(self, *arguments):
        return subprocess.run([self.binary, *arguments], text=True, capture_output=True)

    def report(self, *arguments):
        path = pathlib.Path(self.folder.name) / "report.json"
        done = self.run_sample(f"--gtest_output=json:{path}", *arguments)
        return done, json.loads(path.read_text())

    def test_every_case_is_in_the_report_with_its_failures(self):
        done, report = self.report()
        self.assertEqual(done.returncode, 1)
        self.assertEqual((report["tests"], report["failures"]), (9, 6))
        suites = {suite["name"]: suite for suite in report["testsuites"]}
        self.assertEqual(list(suites), ["Passes", "Fails", "Skips"])
        self.assertEqual((suites["Fails"]["tests"], suites["Fails"]["failures"]), (6, 6))
        found = {case["name"]: len(case["failures"]) for case in suites["Fails"]["testsuite"]}
        self.assertEqual(found, FAILURES)
        for case in suites["Passes"]["testsuite"]:
            self.assertNotIn("failures", case)
            self.assertEqual((case["status"], case["result"]), ("RUN", "COMPLETED"))
        skipped = suites["Skips"]["testsuite"][0]
        self.assertEqual(skipped["result"], "SKIPPED")
        self.assertEqual(skipped["skipped"][0]["message"], "no device")
        self.assertNotIn("failures", skipped)

    def test_a_failure_says_where_and_what(self):
        done = self.run_sample("--gtest_filter=Fails.*", "--gtest_brief=1")
        for text in ("tests/python/minitest/sample.cpp:", '"one" vs "two"', "said 42 true",
                     "{ 1, 2 } vs { 3 }", "out of the body", ": inner 1", ": outer", "on purpose",
                     "[  FAILED  ] Fails.WithItsTraces"):
            self.assertIn(text, done.stdout)
        self.assertNotIn("inner 2", done.stdout)
        self.assertNotIn("not reached", done.stdout)
        self.assertNotIn("[ RUN", done.stdout)

    def test_filter_selects_and_excludes(self):
        done, report = self.report("--gtest_filter=Passes.*:Skips.*:Fails.By*-*Else*:Fails.*")
        self.assertEqual(done.returncode, 0)
        names = [case["name"] for suite in report["testsuites"] for case in suite["testsuite"]]
        self.assertEqual(names, ["EveryAssertion", "WithAReason"])
        listed = self.run_sample("--gtest_list_tests", "--gtest_filter=-Fails.*")
        self.assertEqual(listed.stdout.split(), ["Passes.EveryAssertion",
                                                 "Passes.ElseBelongsToTheOuterIf", "Skips.WithAReason"])

    def test_a_report_that_cannot_be_written_is_a_failure(self):
        done = self.run_sample("--gtest_filter=Passes.*", "--gtest_output=json:/nonexistent/x.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write /nonexistent/x.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
