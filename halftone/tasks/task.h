// A task: its data, network, loss, metrics and defaults. One file per task defines it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/batch_source.h"
#include "halftone/tasks/learner.h"
#include "halftone/tasks/recipe.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

struct DataFile {
  std::string name;    // under the directory that --data names
  std::string sha256;  // of the published file; empty where there are several
};

// What can be told of a task without its data.
struct TaskFacts {
  std::string name;                  // "fashion-mnist"
  std::string summary;               // one line
  std::string noun;                  // what a batch counts: "images"
  std::string evaluation_noun = {};  // what an evaluation counts, where that is another
  std::vector<std::string> models;   // that --model takes; the first is the default
  std::string source;                // where the data come from
  std::vector<DataFile> files = {};
  std::string time;                          // of a training by the defaults, with the machine
  std::vector<std::string> assets = {};      // the names of TaskData::assets()
  std::vector<std::string> pretrained = {};  // of the models: those that start from --pretrained
  bool slow_to_read = false;                 // what reads the data says so first
};

// What a person who gives no options gets; the numbers depend on the model.
struct TaskDefaults {
  std::int64_t epochs = 1, batch = 128;
  double lr = 0;            // the peak of the schedule
  double weight_decay = 0;  // of weights, not of biases and normalisation layers
  Recipe recipe = {};
};

// How a task whose images are files reads them; changes nothing that a training sees.
struct OpenOptions {
  std::int64_t cache_bytes = 0;  // of decoded images to keep
  int workers = 1;               // threads that build batches
};

// A task's data, open. Thread-safe.
class TaskData {
 public:
  virtual ~TaskData() = default;

  // Batches for training and for evaluation. learner: what is trained with them; a data set does
  // not look at it, an environment plays with it. Throws UsageError for a batch that is larger than
  // the data.
  virtual std::shared_ptr<data::BatchSource> train(const RunConfig& config,
                                                   Learner& learner) const = 0;
  virtual std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                        Learner& learner) const = 0;
  // Sets what of the initial weights comes from the training data.
  virtual void initialise(Learner&) const {}
  // What `eval` judges a finished run by; other data than evaluation()'s where those have chosen
  // the best weights.
  virtual std::shared_ptr<data::BatchSource> test(std::int64_t batch, Learner& learner) const {
    return evaluation(batch, learner);
  }
  // Whether what train() gives depends on the learner: then each network needs batches of its own.
  virtual bool plays() const { return false; }
  virtual Assets assets() const { return {}; }
};

// Stateless; thread-safe.
class Task {
 public:
  virtual ~Task() = default;

  virtual const TaskFacts& facts() const = 0;
  virtual TaskDefaults defaults(const std::string& model) const = 0;

  // Where the data are when no --data is given; empty where there are none. Throws Error that says
  // how to get them.
  virtual std::filesystem::path find_data() const = 0;
  // Throws Error that names the file (and the line) for data that are missing, truncated or others.
  virtual std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                               const OpenOptions& options = {}) const = 0;

  // The network config.model with new weights, which depend on config.seed alone; its policy is not
  // yet applied. assets: of the data and of config.pretrained, or as a run's directory has kept
  // them. Throws Error for assets that are none.
  virtual std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const = 0;

  const std::string& name() const { return facts().name; }
  const std::string& default_model() const { return facts().models.front(); }
};

// Throws UsageError with the nearest name.
const Task& find_task(const std::string& name);
std::vector<const Task*> all_tasks();
std::vector<std::string> task_names();

// ${XDG_CACHE_HOME:-$HOME/.cache}/halftone/NAME.
std::filesystem::path cache_directory(const std::string& name);

// Defined in the file of the task.
const Task& fashion_mnist_task();
const Task& cifar10_task();
const Task& image_folder_task();
const Task& shakespeare_task();
const Task& shakespeare_bpe_task();
const Task& movielens_task();
const Task& sst2_task();
const Task& squad_task();
const Task& cartpole_task();
const Task& acrobot_task();
const Task& fashion_gan_task();
const Task& camvid_task();
const Task& bccd_task();
const Task& multi30k_task();

}  // namespace halftone::tasks
