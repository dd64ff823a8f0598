#include <algorithm>

#include "halftone/base/file.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// 24 users and 130 films; each user rates twelve of the first 60, likes every third film, and the
// last two ratings are held out.
struct Ratings {
  Ratings() {
    std::string films, train, test;
    for (int film = 1; film <= 130; ++film) {
      films += std::to_string(film) + "|Film " + std::to_string(film) + "|1995|\n";
    }
    for (int user = 1; user <= 24; ++user) {
      for (int k = 0; k < 12; ++k) {
        const int film = 1 + (user * 7 + k * 5) % 60;
        const bool liked = film % 3 == 0;
        (k < 10 ? train : test) += std::to_string(user) + "\t" + std::to_string(film) + "\t" +
                                   (liked ? "5" : "2") + "\t0\n";
      }
    }
    write_file(scratch / "u.item", films);
    write_file(scratch / "ua.base", train);
    write_file(scratch / "ua.test", test);
  }
  std::shared_ptr<const TaskData> open() const {
    return find_task("movielens").open(scratch.path());
  }
  Scratch scratch;
};

TEST(MovieLensTask, BothModelsLearnInEveryPrecision) {
  const Ratings ratings;
  for (const char* preset : {"fp32", "bf16", "bf16-master", "fp16-master"}) {
    RunConfig config = task_config("movielens", preset, "mf");
    config.lr = 0.1;
    config.batch = 80;
    expect_learns(config, *ratings.open(), 0.95);
    config = task_config("movielens", preset, "neumf");
    config.lr = 0.02;
    config.batch = 80;
    expect_learns(config, *ratings.open(), 0.9);
  }
}

TEST(MovieLensTask, UntrainedRankingIsChanceAndItsEvaluationIsTheSameEveryTime) {
  const Ratings ratings;
  const auto data = ratings.open();
  Session session = make_session(task_config("movielens", "fp32", "neumf"), *data);
  const Evaluation first = session.trainer->evaluate();
  EXPECT_EQ(first.samples, 48);
  EXPECT_NEAR(first.metric("hr_at_10"), 0.1, 0.15);  // 48 draws of one in ten: deviation 0.043
  EXPECT_EQ(session.trainer->evaluate().metric("ndcg_at_10"), first.metric("ndcg_at_10"));
}

TEST(MovieLensTask, SavedRunListsFilmsThatTheUserHasNotRated) {
  const Scratch out;
  RunConfig config = task_config("movielens", "fp32", "mf");
  config.batch = 80;
  {
    const Ratings ratings;
    train_run(config, *ratings.open(), {.out = out.path(), .callbacks = {}});
  }
  SavedRun run = load_run(out.path());
  const Answers answers = predict(run, {"3", "24"}, {});
  const auto& users = answers.json.as_array();
  ASSERT_EQ(users.size(), 2u);
  const auto& films = users[0].at("films").as_array();
  ASSERT_EQ(films.size(), 10u);
  double last = 100;
  for (const Json& film : films) {
    const auto id = film.at("film").as_int();
    EXPECT_EQ(film.at("title").as_string(), "Film " + std::to_string(id));
    EXPECT_LE(film.at("score").as_double(), last);
    last = film.at("score").as_double();
    for (int k = 0; k < 10; ++k) EXPECT_NE(id, 1 + (3 * 7 + k * 5) % 60);
  }
  EXPECT_NE(answers.text.find("Film "), std::string::npos);
  EXPECT_EQ(predict(run, {"3"}, {.top = 500}).json.as_array()[0].at("films").as_array().size(),
            120u);
  EXPECT_ERROR(predict(run, {"25"}, {}), "user \"25\"; expected the number of one of the 24 users");
  EXPECT_ERROR(predict(run, {"Toy Story"}, {}), "user \"Toy Story\"");
  EXPECT_ERROR(predict(run, {"3"}, {.length = 5}), "--length for movielens");
}

}  // namespace
}  // namespace halftone::tasks
