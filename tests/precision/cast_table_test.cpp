// The table against what LibTorch registers.
#include "halftone/precision/cast_table.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <set>

#include "halftone/precision/autocast.h"
#include "tests/precision/autocast_support.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

const CastRow* find_row(const std::string& operation) {
  const auto& table = cast_table();
  const auto row = std::find_if(table.begin(), table.end(), [&](const CastRow& candidate) {
    return candidate.operation == operation;
  });
  return row == table.end() ? nullptr : &*row;
}

std::string full_name(const c10::OperatorName& name) {
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

// LibTorch's own registrations at the key, before or after ours: the same test.
void expect_all_named(c10::DispatchKey key, CastDevices only_the_other) {
  int seen = 0;
  for (const auto& name : c10::Dispatcher::singleton().getRegistrationsForDispatchKey(key)) {
    const std::string full = full_name(name);
    if (full.rfind("halftone::", 0) == 0) continue;
    ++seen;
    const CastRow* row = full.rfind("aten::", 0) == 0 ? find_row(full.substr(6)) : nullptr;
    EXPECT_TRUE(row != nullptr) << full << " is registered at " << toString(key)
                                << " and missing in cast_table.cpp";
    if (row == nullptr) continue;
    EXPECT_NE(static_cast<int>(row->devices), static_cast<int>(only_the_other)) << full;
  }
  EXPECT_GT(seen, 100) << "LibTorch registers more operations at " << toString(key);
}

TEST(CastTable, NamesEveryOperationThatLibTorchCastsOnCpu) {
  expect_all_named(c10::DispatchKey::AutocastCPU, CastDevices::cuda);
}

TEST(CastTable, NamesEveryOperationThatLibTorchCastsOnCuda) {
  expect_all_named(c10::DispatchKey::AutocastCUDA, CastDevices::cpu);
}

TEST(CastTable, NamesNoOperationTwice) {
  std::set<std::string> seen;
  for (const CastRow& row : cast_table()) {
    EXPECT_TRUE(seen.insert(row.operation).second) << row.operation;
  }
}

// A typing error in the table would switch a row off without a word.
TEST(CastTable, NamesOperationsThatExist) {
  // Not in every LibTorch from 2.11 to 2.14.
  const std::set<std::string> some_versions = {"softmax.Dimname",
                                               "log_softmax.Dimname",
                                               "sum.dim_DimnameList",
                                               "prod.dim_Dimname",
                                               "cumsum.dimname",
                                               "cumprod.dimname",
                                               "index_copy.dimname",
                                               "norm.names_ScalarOpt_dim",
                                               "rms_norm",
                                               "cholesky",
                                               "qr",
                                               "linalg_matrix_sqrth"};
  for (const CastRow& row : cast_table()) {
    if (some_versions.count(row.operation) != 0) continue;
    const std::string name = operation_name(row);
    const std::string overload = name == row.operation ? "" : row.operation.substr(name.size() + 1);
    EXPECT_TRUE(c10::Dispatcher::singleton().findSchema({"aten::" + name, overload}).has_value())
        << row.operation;
  }
}

// Every row that is cast on both devices has a wrapper of ours at both keys.
TEST(CastTable, IsInstalledOnBothDevices) {
  { const Autocast autocast(half_policy()); }
  for (const CastRow& row : cast_table()) {
    if (row.cast == Cast::as_is || row.cast == Cast::stock) continue;
    const std::string name = operation_name(row);
    const std::string overload = name == row.operation ? "" : row.operation.substr(name.size() + 1);
    const auto operation = c10::Dispatcher::singleton().findSchema({"aten::" + name, overload});
    if (!operation) continue;
    EXPECT_EQ(operation->hasKernelForDispatchKey(c10::DispatchKey::AutocastCPU),
              row.devices != CastDevices::cuda)
        << row.operation;
    EXPECT_EQ(operation->hasKernelForDispatchKey(c10::DispatchKey::AutocastCUDA),
              row.devices != CastDevices::cpu)
        << row.operation;
  }
}

TEST(CastTable, KeepsReductionsExponentialsAndLossesInFp32) {
  for (const std::string operation :
       {"softmax.int", "log_softmax.int", "log", "exp", "sum", "sum.dim_IntList", "norm.Scalar",
        "pow.Tensor_Scalar", "cumsum", "layer_norm", "group_norm", "mse_loss", "nll_loss",
        "cross_entropy_loss", "binary_cross_entropy", "kl_div", "ctc_loss.Tensor"}) {
    const CastRow* row = find_row(operation);
    ASSERT_NE(row, nullptr) << operation;
    EXPECT_TRUE(row->cast == Cast::fp32 || row->cast == Cast::fp32_dtype ||
                row->cast == Cast::fp32_loss)
        << operation;
    EXPECT_EQ(static_cast<int>(row->devices), static_cast<int>(CastDevices::both)) << operation;
  }
}

}  // namespace
}  // namespace halftone
