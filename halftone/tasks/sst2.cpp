// SST-2: is what a sentence says of a film positive? (Socher et al., EMNLP 2013)
#include <algorithm>
#include <map>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/data/sets/labelled_lines.h"
#include "halftone/data/text_batches.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/pretrained.h"
#include "halftone/tasks/task.h"
#include "halftone/tasks/text_learner.h"

namespace halftone::tasks {
namespace {

constexpr const char* kWordsFile = "vocabulary.json";
constexpr const char* kEncoder = "encoder";
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

// One of the files.
struct Sentences {
  Sentences(const std::filesystem::path& path)
      : lines(data::labelled_lines(path, kClasses)), where(path.string()) {}

  // As the learner's network takes them; those that it takes no more of are cut, with a warning
  // that counts them.
  std::shared_ptr<const data::TextBatches> batches(Learner& learner) const {
    const auto& classifier = dynamic_cast<TextLearner&>(learner).classifier();
    std::vector<data::LabelledText> texts;
    std::int64_t cut = 0;
    std::size_t longest = 0;
    for (const auto& line : lines) {
      TextTokens tokens = classifier.tokens(line.text, where);
      cut += tokens.cut;
      longest = std::max(longest, tokens.numbers.size());
      texts.push_back({std::move(tokens.numbers), line.label});
    }
    if (cut > 0) {
      warn(where + ": " + std::to_string(cut) + (cut == 1 ? " sentence is" : " sentences are") +
           " cut to the " + std::to_string(longest) + " tokens that the network takes");
    }
    return std::make_shared<data::TextBatches>(std::move(texts));
  }

  std::vector<data::LabelledLine> lines;
  std::string where;
};

class SentenceData : public TaskData {
 public:
  explicit SentenceData(const std::filesystem::path& directory)
      : train_(directory / "train.tsv"),
        dev_(directory / "dev.tsv"),
        test_(directory / "test.tsv"),
        vocabulary_(vocabulary_of(train_.lines)) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config,
                                           Learner& learner) const override {
    return train_loader(train_.batches(learner), config, "sentences");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    return evaluation_loader(dev_.batches(learner), batch);
  }
  std::shared_ptr<data::BatchSource> test(std::int64_t batch, Learner& learner) const override {
    return evaluation_loader(test_.batches(learner), batch);
  }
  Assets assets() const override { return {{kWordsFile, vocabulary_.to_json()}}; }

 private:
  Sentences train_, dev_, test_;
  data::Vocabulary vocabulary_;
};

std::shared_ptr<TextClassifier> word_classifier_of(const RunConfig& config, const Assets& assets) {
  auto vocabulary = data::Vocabulary::from_json(assets.at(kWordsFile), kWordsFile);
  if (vocabulary.size() < 2 || vocabulary.number(kPaddingWord) != data::kPaddingToken ||
      !vocabulary.number(kUnknownWord)) {
    throw Error("no <pad> and <unk>", "a vocabulary that begins with both", kWordsFile);
  }
  const models::TextCnnOptions options{.vocabulary = vocabulary.size(),
                                       .classes = kClasses,
                                       .seed = config.seed,
                                       .init = config.policy.init};
  return word_classifier(std::make_shared<models::TextCnn>(options), std::move(vocabulary));
}

std::shared_ptr<TextClassifier> encoder_classifier_of(const RunConfig& config,
                                                      const Assets& assets) {
  return encoder_classifier(
      std::make_shared<models::EncoderClassifier>(encoder_options(config, assets), kClasses),
      word_piece_tokenizer(assets));
}

class Sst2 : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "sst2",
        .summary = "is a sentence about a film positive? 6,920 + 872 + 1,821 sentences",
        .noun = "sentences",
        .models = {"textcnn", kEncoder},
        .source =
            "the Stanford Sentiment Treebank's whole sentences without the neutral ones, "
            "lines of sentence, tab, 0 or 1",
        .files = {{"train.tsv", "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920"},
                  {"dev.tsv", "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359"},
                  {"test.tsv", "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7"}},
        .time = "textcnn half a minute, encoder two minutes (two cores with AVX-512)",
        .assets = {kWordsFile},
        .pretrained = {kEncoder}};
    return facts;
  }

  TaskDefaults defaults(const std::string& model) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .clip_norm = 1.0,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.1};
    if (model == kEncoder) return {3, 32, 1e-4, 0.01, recipe};
    return {8, 50, 1e-3, 0.1, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("sst2");
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no SST-2 at " + directory.string(),
                "--data with a directory of train.tsv, dev.tsv and test.tsv, lines of sentence, "
                "tab, 0 or 1");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    return std::make_shared<SentenceData>(data);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    auto classifier = config.model == kEncoder ? encoder_classifier_of(config, assets)
                                               : word_classifier_of(config, assets);
    return std::make_shared<TextLearner>(std::move(classifier),
                                         std::vector<std::string>{"negative", "positive"});
  }
};

}  // namespace

const Task& sst2_task() {
  static const Sst2 task;
  return task;
}

}  // namespace halftone::tasks
