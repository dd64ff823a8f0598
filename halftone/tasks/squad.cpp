// SQuAD: which words of a paragraph answer a question? (Rajpurkar et al., EMNLP 2016)
#include <algorithm>
#include <set>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/data/sets/squad.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/pretrained.h"
#include "halftone/tasks/span_learner.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr const char* kSpanModel = "encoder";
// As published; another set in the same format that is small enough to train on at home.
constexpr const char* kTrainFiles[] = {"train-v1.1.json", "train.json", "xquad.en.json"};
constexpr const char* kDevFiles[] = {"dev-v1.1.json", "dev.json", "dev-v1.1-slice.json"};

std::filesystem::path first_of(const std::filesystem::path& directory,
                               const char* const (&names)[3]) {
  for (const char* name : names) {
    if (std::filesystem::exists(directory / name)) return directory / name;
  }
  throw Error(std::string("no ") + names[0] + ", " + names[1] + " or " + names[2],
              "questions in SQuAD's format", directory.string());
}

// One of the files.
struct Paragraphs {
  explicit Paragraphs(const std::filesystem::path& path)
      : all(data::squad_paragraphs(path)), where(path.string()) {}

  std::shared_ptr<QuestionWindows> windows(SpanLearner& learner, bool trained) const {
    auto windows = std::make_shared<QuestionWindows>(learner.windows());
    std::int64_t left_out = 0;
    for (const auto& paragraph : all) left_out += windows->add(paragraph, trained, where);
    if (left_out > 0) {
      warn(where + ": questions left out: " + std::to_string(left_out) + ", of more than " +
           std::to_string(windows->longest_question()) + " tokens" +
           (trained ? ", or their answer is not in the text" : ""));
    }
    if (windows->questions() == 0) throw Error("no question that can be asked", "some", where);
    return windows;
  }

  std::vector<data::SquadParagraph> all;
  std::string where;
};

// A paragraph that is evaluated must not be learned from.
void leave_out_evaluated(Paragraphs& train, const Paragraphs& evaluated) {
  std::set<std::string> contexts;
  for (const auto& paragraph : evaluated.all) contexts.insert(paragraph.context);
  const auto count = std::erase_if(
      train.all, [&](const auto& paragraph) { return contexts.contains(paragraph.context); });
  if (count > 0) {
    warn(train.where + ": paragraphs left out of training: " + std::to_string(count) +
         ", found in " + evaluated.where);
  }
  if (train.all.empty()) throw Error("no other paragraphs", "some to learn from", train.where);
}

class SquadData : public TaskData {
 public:
  explicit SquadData(const std::filesystem::path& directory)
      : train_(first_of(directory, kTrainFiles)), dev_(first_of(directory, kDevFiles)) {
    leave_out_evaluated(train_, dev_);
  }

  std::shared_ptr<data::BatchSource> train(const RunConfig& config,
                                           Learner& learner) const override {
    const auto windows = train_.windows(dynamic_cast<SpanLearner&>(learner), true);
    return train_loader(windows->batches(), config, "windows of questions");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    auto& spans = dynamic_cast<SpanLearner&>(learner);
    const auto windows = dev_.windows(spans, false);
    spans.judge_by(windows);
    return evaluation_loader(windows->batches(), std::min(batch, kEvaluationWindows));
  }

 private:
  // At once: of 384 tokens they take as much memory as some thousand sentences.
  static constexpr std::int64_t kEvaluationWindows = 32;

  Paragraphs train_, dev_;
};

class Squad : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "squad",
        .summary = "which words of a paragraph answer a question? 87,599 + 10,570 questions",
        .noun = "questions",
        .models = {kSpanModel},
        .source =
            "rajpurkar.github.io/SQuAD-explorer; or any two files in its format called train.json "
            "and dev.json, or xquad.en.json of github.com/google-deepmind/xquad to train on",
        .files = {{"train-v1.1.json",
                   "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955"},
                  {"dev-v1.1.json",
                   "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9"}},
        .time = "five minutes on XQuAD's questions, hours on all (two cores with AVX-512)",
        .pretrained = {kSpanModel}};
    return facts;
  }

  TaskDefaults defaults(const std::string&) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .clip_norm = 1.0,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.1};
    return {3, 16, 2e-4, 0.01, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("squad");
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no SQuAD at " + directory.string(),
                "--data with a directory of train-v1.1.json and dev-v1.1.json (from "
                "https://rajpurkar.github.io/SQuAD-explorer)");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    return std::make_shared<SquadData>(data);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    return std::make_shared<SpanLearner>(
        std::make_shared<models::EncoderSpans>(encoder_options(config, assets)),
        word_piece_tokenizer(assets));
  }
};

}  // namespace

const Task& squad_task() {
  static const Squad task;
  return task;
}

}  // namespace halftone::tasks
