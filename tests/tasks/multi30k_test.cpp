#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// "the red dog runs ." -> "der rote hund rennt .", in all combinations.
struct Phrases {
  Phrases() {
    const std::pair<const char*, const char*> who[] = {
        {"dog", "hund"}, {"man", "mann"}, {"boy", "junge"}, {"bird", "vogel"}};
    const std::pair<const char*, const char*> how[] = {{"red", "rote"},
                                                       {"old", "alte"},
                                                       {"big",
                                                        "gro\xC3\x9F"
                                                        "e"}};
    const std::pair<const char*, const char*> what[] = {{"runs", "rennt"},
                                                        {"sleeps",
                                                         "schl\xC3\xA4"
                                                         "ft"},
                                                        {"sings", "singt"}};
    std::string en[3], de[3];
    std::size_t number = 0;
    for (const auto& noun : who) {
      for (const auto& adjective : how) {
        for (const auto& verb : what) {
          ++number;
          const std::size_t set = number % 6 == 0 ? 1 : number % 7 == 0 ? 2 : 0;
          en[set] +=
              std::string("the ") + adjective.first + " " + noun.first + " " + verb.first + " .\n";
          de[set] += std::string("der ") + adjective.second + " " + noun.second + " " +
                     verb.second + " .\n";
        }
      }
    }
    const char* names[] = {"train", "val", "test_2016_flickr"};
    for (int i = 0; i < 3; ++i) {
      write_file(scratch / (std::string(names[i]) + ".en"), en[i]);
      write_file(scratch / (std::string(names[i]) + ".de"), de[i]);
    }
  }
  void add(const char* file, const std::string& line) const {
    write_file(scratch / file, read_file(scratch / file) + line);
  }
  std::shared_ptr<const TaskData> open() const {
    return find_task("multi30k").open(scratch.path());
  }
  Scratch scratch;
};

// A network that learns the phrases in seconds.
RunConfig phrases_config(const char* preset) {
  RunConfig config = task_config("multi30k", preset, "transformer-small");
  config.batch = 20;
  config.lr = 5e-3;
  return config;
}

TEST(Multi30kTask, LearnsInEveryPrecision) {
  const Phrases phrases;
  for (const char* preset : {"fp32", "bf16-master", "fp16-master"}) {
    expect_learns(phrases_config(preset), *phrases.open(), 0.8);
  }
}

TEST(Multi30kTask, TheFullNetworkTakesAStep) {
  const Phrases phrases;
  RunConfig config = task_config("multi30k", "bf16-master");
  config.steps = 1;
  Session session = make_session(config, *phrases.open());
  session.train->start_epoch(0);
  EXPECT_TRUE(session.trainer->step(*session.train->next()).applied);
}

TEST(Multi30kTask, InterruptedRunsResumeToTheSameBits) {
  const Phrases phrases;
  expect_same_when_resumed(phrases_config("fp16-master"), *phrases.open());
}

TEST(Multi30kTask, SavedRunTranslatesATypedSentence) {
  const Scratch out;
  const Phrases phrases;
  RunConfig config = phrases_config("bf16-master");
  config.steps = 60;
  train_run(config, *phrases.open(), {.out = out.path(), .callbacks = {}});
  SavedRun run = load_run(out.path());
  const Answers answers = predict(run, {"the old dog sings ."}, {});
  EXPECT_EQ(answers.text, answers.json.as_array()[0].at("translation").as_string() + "\n");
  EXPECT_NE(answers.text.find("hund"), std::string::npos) << answers.text;
  EXPECT_ERROR(predict(run, {" "}, {}), "an empty text");
  EXPECT_ERROR(predict(run, {"caf\xE9"}, {}), "byte 0xE9 at offset 3");
  std::string longest;
  for (int i = 0; i < 300; ++i) longest += "dog ";
  EXPECT_ERROR(predict(run, {longest}, {}), "a text of more than 255 tokens");
  const EvaluationReport report = evaluate_run(run, *phrases.open(), 4);
  EXPECT_EQ(report.evaluation.samples, 5);
  EXPECT_GT(report.evaluation.metric("bleu"), 20);

  // In the data's order, whatever the order of lengths is.
  const std::vector<std::string> texts = {"the old dog sings .", "the red bird sleeps and sings .",
                                          "the big man runs ."};
  write_file(phrases.scratch / "test_2016_flickr.en",
             texts[0] + "\n" + texts[1] + "\n" + texts[2] + "\n");
  write_file(phrases.scratch / "test_2016_flickr.de", "eins .\nzwei .\ndrei .\n");
  const EvaluationReport few = evaluate_run(run, *phrases.open(), 1);
  const Json& translations = few.details.json.at("translations");
  ASSERT_EQ(translations.as_array().size(), texts.size());
  const Answers each = predict(run, texts, {});
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(translations.as_array()[i].as_string(),
              each.json.as_array()[i].at("translation").as_string());
  }

  write_file(out / "sentencepiece.model", "no model");
  EXPECT_ERROR(load_run(out.path()), "sentencepiece.model: no SentencePiece model");
}

std::string translation_warning;

TEST(Multi30kTask, BadDataAreErrorsOrCounted) {
  const LogSink before = set_log_sink([](auto, auto text) { translation_warning = text; });
  {
    const Phrases phrases;
    phrases.add("train.en", " \n");
    phrases.add("train.de", "leer\n");
    phrases.open();
    EXPECT_NE(translation_warning.find("train.en: sentences left out: 1, empty there or in"),
              std::string::npos)
        << translation_warning;
  }
  {
    const Phrases phrases;
    std::string longer;
    for (int i = 0; i < 300; ++i) longer += "dog ";
    phrases.add("train.en", longer + "\n");
    phrases.add("train.de", "hund\n");
    make_session(phrases_config("fp32"), *phrases.open());
    EXPECT_NE(translation_warning.find("train.en: pairs cut: 1, to the 256 tokens"),
              std::string::npos)
        << translation_warning;
  }
  set_log_sink(before);
  const Phrases phrases;
  phrases.add("val.de", "mehr\n");
  EXPECT_ERROR(phrases.open(), "val.de: 7 lines; expected 6, as ");
  phrases.add("val.en", "caf\xE9\n");
  EXPECT_ERROR(phrases.open(), "val.en:7: byte 0xE9 at offset 3");
  std::filesystem::remove(phrases.scratch / "train.de");
  EXPECT_ERROR(phrases.open(), "train.de");
}

}  // namespace
}  // namespace halftone::tasks
