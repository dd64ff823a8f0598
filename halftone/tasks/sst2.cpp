// SST-2: is what a sentence says of a film positive? (Socher et al., EMNLP 2013)
#include <map>

#include "halftone/base/error.h"
#include "halftone/data/sets/labelled_lines.h"
#include "halftone/data/text_batches.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/task.h"
#include "halftone/tasks/text_learner.h"

namespace halftone::tasks {
namespace {

constexpr const char* kWordsFile = "vocabulary.json";
constexpr std::int64_t kClasses = 2;
constexpr int kLeastCount = 2;  // of a word in training that is learned: others stay <unk>

data::Vocabulary vocabulary_of(const std::vector<data::LabelledLine>& lines) {
  std::map<std::string, int> counts;
  for (const auto& line : lines) {
    for (const std::string& word : data::words_of(line.text)) ++counts[word];
  }
  std::vector<std::string> words{kPaddingWord, kUnknownWord};
  for (const auto& [word, count] : counts) {
    if (count >= kLeastCount && word != kPaddingWord && word != kUnknownWord) words.push_back(word);
  }
  return data::Vocabulary(std::move(words));
}

std::vector<data::LabelledText> texts_of(const std::vector<data::LabelledLine>& lines,
                                         const data::Vocabulary& vocabulary) {
  std::vector<data::LabelledText> texts;
  for (const auto& line : lines) {
    texts.push_back({numbers_of_words(vocabulary, data::words_of(line.text)), line.label});
  }
  return texts;
}

class SentenceData : public TaskData {
 public:
  explicit SentenceData(const std::filesystem::path& directory)
      : SentenceData(data::labelled_lines(directory / "train.tsv", kClasses),
                     data::labelled_lines(directory / "test.tsv", kClasses)) {}
  SentenceData(const std::vector<data::LabelledLine>& train,
               const std::vector<data::LabelledLine>& test)
      : vocabulary_(vocabulary_of(train)),
        train_(std::make_shared<data::TextBatches>(texts_of(train, vocabulary_))),
        test_(std::make_shared<data::TextBatches>(texts_of(test, vocabulary_))) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(train_, config, "sentences");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    return evaluation_loader(test_, batch);
  }
  Assets assets() const override { return {{kWordsFile, vocabulary_.to_json()}}; }

 private:
  data::Vocabulary vocabulary_;
  std::shared_ptr<const data::TextBatches> train_, test_;
};

class Sst2 : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "sst2",
        .summary = "is a sentence about a film positive? 6,920 + 1,821 sentences",
        .noun = "sentences",
        .models = {"textcnn"},
        .source =
            "the Stanford Sentiment Treebank's whole sentences without the neutral ones, "
            "lines of sentence, tab, 0 or 1",
        .files = {{"train.tsv", "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920"},
                  {"test.tsv", "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7"}},
        .time = "half a minute (two cores with AVX-512)",
        .assets = {kWordsFile}};
    return facts;
  }

  TaskDefaults defaults(const std::string&) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .clip_norm = 1.0,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.1};
    return {8, 50, 1e-3, 0.1, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("sst2");
    if (std::filesystem::exists(directory)) return directory;
    throw Error(
        "no SST-2 at " + directory.string(),
        "--data with a directory of train.tsv and test.tsv, lines of sentence, tab, 0 or 1");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data) const override {
    return std::make_shared<SentenceData>(data);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    auto vocabulary = data::Vocabulary::from_json(assets.at(kWordsFile), kWordsFile);
    if (vocabulary.size() < 2 || vocabulary.number(kPaddingWord) != data::kPaddingToken ||
        !vocabulary.number(kUnknownWord)) {
      throw Error("no <pad> and <unk>", "a vocabulary that begins with both", kWordsFile);
    }
    const models::TextCnnOptions options{.vocabulary = vocabulary.size(),
                                         .classes = kClasses,
                                         .seed = config.seed,
                                         .init = config.policy.init};
    return std::make_shared<TextLearner>(std::make_shared<models::TextCnn>(options),
                                         std::move(vocabulary),
                                         std::vector<std::string>{"negative", "positive"});
  }
};

}  // namespace

const Task& sst2_task() {
  static const Sst2 task;
  return task;
}

}  // namespace halftone::tasks
