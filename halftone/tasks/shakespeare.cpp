// A language model of characters on "tiny Shakespeare": 1.1 MB of plays, the last tenth held out.
#include <ATen/Functions.h>

#include <set>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/token_windows.h"
#include "halftone/data/utf8.h"
#include "halftone/tasks/language_learner.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr const char* kVocabularyFile = "vocabulary.json";
constexpr double kTrainShare = 0.9;

struct Shape {
  const char* name;
  std::int64_t layers, heads, width, context;
};
constexpr Shape kShapes[] = {{"gpt", 4, 6, 192, 128}, {"gpt-small", 4, 4, 128, 64}};

const Shape& shape_of(const std::string& model) {
  for (const Shape& shape : kShapes) {
    if (model == shape.name) return shape;
  }
  throw Error("model " + model, "gpt or gpt-small", "shakespeare");
}

// DIR/tinyshakespeare.txt or DIR/input.txt, as it is published; or any text file.
std::filesystem::path text_file(const std::filesystem::path& data) {
  if (!std::filesystem::is_directory(data)) return data;
  for (const char* name : {"tinyshakespeare.txt", "input.txt"}) {
    if (std::filesystem::exists(data / name)) return data / name;
  }
  throw Error("no tinyshakespeare.txt and no input.txt", "the text", data.string());
}

class CharacterData : public TaskData {
 public:
  explicit CharacterData(const std::filesystem::path& file)
      : source_(file.string()), vocabulary_({}) {
    const std::string text = read_file(file);
    const auto characters = data::utf8_characters(text, source_);
    if (characters.empty()) throw Error("an empty text", "one to learn from", source_);
    const std::set<std::string, std::less<>> distinct(characters.begin(), characters.end());
    vocabulary_ = data::Vocabulary({distinct.begin(), distinct.end()});
    const auto count = static_cast<std::int64_t>(characters.size());
    tokens_ = at::empty({count}, at::kLong);
    auto* token = tokens_.mutable_data_ptr<std::int64_t>();
    for (const std::string_view character : characters) *token++ = *vocabulary_.number(character);
    train_ = static_cast<std::int64_t>(kTrainShare * static_cast<double>(count));
  }

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(
        std::make_shared<data::TokenWindows>(tokens_.narrow(0, 0, train_),
                                             shape_of(config.model).context, true, source_),
        config, "sequences");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    const std::int64_t context = dynamic_cast<LanguageLearner&>(learner).context();
    return evaluation_loader(
        std::make_shared<data::TokenWindows>(tokens_.narrow(0, train_, tokens_.size(0) - train_),
                                             context, false, source_),
        batch);
  }
  Assets assets() const override { return {{kVocabularyFile, vocabulary_.to_json()}}; }

 private:
  std::string source_;
  data::Vocabulary vocabulary_;
  at::Tensor tokens_;
  std::int64_t train_ = 0;  // of them
};

class Shakespeare : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "shakespeare",
        .summary =
            "continue a text, a character at a time; 1.1 MB of plays, the last tenth held out",
        .noun = "sequences",
        .models = {"gpt", "gpt-small"},
        .source =
            "data/tinyshakespeare/input.txt of github.com/karpathy/char-rnn; or any UTF-8 text "
            "as --data FILE",
        .files = {{"tinyshakespeare.txt",
                   "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}},
        .time = "about ten minutes (two cores with AVX-512)",
        .assets = {kVocabularyFile}};
    return facts;
  }

  TaskDefaults defaults(const std::string& model) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .betas = {0.9, 0.99},
                        .clip_norm = 1.0,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.05,
                        .min_factor = 0.1};
    return {model == "gpt" ? 6 : 4, 16, 2e-3, 0.1, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("tinyshakespeare");
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no tiny Shakespeare at " + directory.string(),
                "--data with the text (input.txt of "
                "https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare) or its "
                "directory");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data) const override {
    return std::make_shared<CharacterData>(text_file(data));
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    const Shape& shape = shape_of(config.model);
    auto vocabulary = data::Vocabulary::from_json(assets.at(kVocabularyFile), kVocabularyFile);
    const models::GptOptions options{.vocabulary = vocabulary.size(),
                                     .context = shape.context,
                                     .layers = shape.layers,
                                     .heads = shape.heads,
                                     .width = shape.width,
                                     .seed = config.seed,
                                     .init = config.policy.init};
    return std::make_shared<LanguageLearner>(std::make_shared<models::Gpt>(options),
                                             std::move(vocabulary));
  }
};

}  // namespace

const Task& shakespeare_task() {
  static const Shakespeare task;
  return task;
}

}  // namespace halftone::tasks
