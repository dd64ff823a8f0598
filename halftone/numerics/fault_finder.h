// Finds the first operation whose output is not finite while its inputs were.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/fault_report.h"
#include "halftone/numerics/operation_name.h"
#include "halftone/numerics/operation_watch.h"

namespace halftone::numerics {

struct FaultFinderOptions {
  bool trace = false;  // also keep a checksum of every output, to compare two passes
};

// The sink of an OperationWatch around a forward and backward pass of `module`. It reads every
// tensor that an operation reads or writes, once. Numbers that are not finite are followed by the
// memory they lie in, so that an infinity that a later operation takes away (a mask before a
// softmax) is not blamed. Needs: memory that is not freed to another tensor behind autograd's back.
class HALFTONE_API FaultFinder final : public OperationSink {
 public:
  explicit FaultFinder(const torch::nn::Module& module, FaultFinderOptions options = {});
  ~FaultFinder() override;

  // Before each micro-batch. named: the batch's tensors, "batch input" and so on.
  void begin_pass(std::int64_t micro_batch,
                  const std::vector<std::pair<at::Tensor, std::string>>& named);

  void begin(OperationCall& call) override;
  void end(OperationCall& call, const std::vector<at::Tensor>& outputs) override;

  // The fault that reached one of `results` (the loss, the gradients), the earliest of several; the
  // earliest of all where the way to them was lost; nothing where all of them are finite.
  std::optional<Fault> fault(const std::vector<at::Tensor>& results) const;

  // What `trace` kept: an operation's name and its output's checksum, in order.
  struct Trace {
    std::string name;
    std::uint32_t checksum = 0;
    bool operator==(const Trace&) const = default;
  };
  const std::vector<Trace>& trace() const { return trace_; }

  std::int64_t operations() const { return operations_; }

 private:
  struct Notes;
  void look_at_output(const OperationCall& call, const Notes& notes, const at::Tensor& output,
                      std::size_t index, std::size_t outputs);
  void name_for_rules(const OperationNames::Known& known, const OperationCall& call, Fault& fault);
  void look_at_zeros(const OperationCall& call, const Notes& notes, const at::Tensor& output,
                     const TensorRange& range, std::size_t index, std::size_t outputs);
  // Of the first input that was not finite.
  int origin_of(const OperationCall& call, const Notes& notes);

  FaultFinderOptions options_;
  OperationNames names_;
  std::int64_t micro_batch_ = 0, operations_ = 0;
  std::vector<Fault> faults_;  // in order
  struct Bad {
    int fault;
    std::int64_t since;  // after so many operations
  };
  // By the storage that numbers lie in: which fault made them not finite; which operation's result
  // underflowed to them; after how many operations they were looked at for that.
  std::unordered_map<const void*, Bad> bad_;
  std::unordered_map<const void*, std::string> underflowed_;
  std::unordered_map<const void*, std::int64_t> looked_at_;
  std::vector<Trace> trace_;
};

}  // namespace halftone::numerics
