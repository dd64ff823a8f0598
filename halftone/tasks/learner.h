// The network of a task with all that is known about it: its loss, its metrics, how it answers.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/base/json.h"
#include "halftone/train/objective.h"

namespace halftone::tasks {

// What a run's directory keeps of the data, so that its network can be used without them (a
// vocabulary, titles): file names and contents.
using Assets = std::map<std::string, std::string>;

// What a person may say to `predict`; each kind of task takes some.
struct PredictOptions {
  std::optional<std::int64_t> top{};      // answers to show; of text: candidates to draw from
  std::optional<std::int64_t> length{};   // of a continued text
  std::optional<double> temperature{};    // of drawing, above 0
  std::optional<std::int64_t> seed{};     // of drawing
  std::optional<std::string> pictures{};  // the directory that they are written to

  std::vector<std::string> given() const;  // "top", …
};

struct Answers {
  std::string text;  // for a person; ends in a newline
  Json json;
};

class Learner : public Objective {
 public:
  virtual std::shared_ptr<torch::nn::Module> module() const = 0;
  // What each phase's optimizer trains: parts of module().
  virtual std::vector<std::shared_ptr<torch::nn::Module>> phase_modules() const {
    return {module()};
  }
  // A PNG of what the last evaluation made; empty where there is nothing to see.
  virtual std::string picture() const { return ""; }

  virtual std::vector<std::string> predict_options() const { return {}; }  // that it takes
  // Answers about what a person gave: file names, a text, a user. Called in evaluation mode,
  // without gradients, under Autocast. Throws Error or UsageError that names the input.
  virtual Answers predict(const std::vector<std::string>& inputs,
                          const PredictOptions& options) = 0;
};

}  // namespace halftone::tasks
