// CartPole and Acrobot, DQN and PPO: learning, exact resume, what they answer.
#include <algorithm>

#include "halftone/base/file.h"
#include "halftone/data/episodes.h"
#include "halftone/tasks/compare.h"
#include "halftone/tasks/compare_report.h"
#include "halftone/tasks/played_source.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/support/tolerances.h"
#include "tests/tasks/task_rig.h"
#include "tests/train/rig.h"

namespace halftone::tasks {
namespace {

std::shared_ptr<const TaskData> environment_of(const std::string& task) {
  return find_task(task).open({});
}

RunConfig control_config(const std::string& task, const std::string& preset,
                         const std::string& model, std::int64_t steps) {
  RunConfig config = task_config(task, preset, model);
  config.steps = steps;
  config.batch = 64;
  return config;
}

TEST(Control, TwentyStepsLowerTheLossOfABatchInEveryPrecision) {
  for (const char* task : {"cartpole", "acrobot"}) {
    for (const char* model : {"dqn", "ppo"}) {
      for (const char* preset : {"fp32", "bf16-master", "fp16-master"}) {
        SCOPED_TRACE(std::string(task) + ", " + model + ", " + preset);
        at::set_num_threads(1);
        Session session =
            make_session(control_config(task, preset, model, 20), *environment_of(task));
        session.train->start_epoch(0);
        const data::Batch batch = *session.train->next();
        double first = 0, last = 0;
        for (int step = 0; step < 20; ++step) {
          last = session.trainer->step(batch).loss;
          if (step == 0) first = last;
        }
        EXPECT_LT(last, 0.99 * first - 0.001);
      }
    }
  }
}

TEST(Control, PpoBalancesThePoleForLongerAfterSomeRollouts) {
  for (const char* preset : {"fp32", "bf16-master"}) {
    SCOPED_TRACE(preset);
    at::set_num_threads(1);
    Session session =
        make_session(control_config("cartpole", preset, "ppo", 640), *environment_of("cartpole"));
    const double before = session.trainer->evaluate().metric("mean_return");
    const TrainResult result = session.trainer->run();
    EXPECT_LT(before, 60);
    EXPECT_GT(result.last.metric("mean_return"), 2 * before);
    EXPECT_EQ(result.last.samples, 100);
  }
}

TEST(Control, DqnBalancesThePoleForLongerAfterSomeBatches) {
  at::set_num_threads(1);
  Session session =
      make_session(control_config("cartpole", "fp32", "dqn", 3000), *environment_of("cartpole"));
  const double before = session.trainer->evaluate().metric("mean_return");
  EXPECT_GT(session.trainer->run().last.metric("mean_return"), 5 * before);
}

TEST(Control, RunIsTheSameBySeedAndInHalvesAsInOnePiece) {
  for (const char* model : {"dqn", "ppo"}) {
    SCOPED_TRACE(model);
    at::set_num_threads(1);
    const auto data = environment_of("cartpole");
    // Past the first target network and amid the third rollout.
    RunConfig config = control_config("cartpole", "bf16-master", model, 230);
    config.epochs = 1;
    config.batch = 32;
    const auto state_of = [&](const RunConfig& how, bool resume, const Scratch& out) {
      TrainerOptions options;
      options.out = out.path();
      Session session = make_session(how, *data, options);
      EXPECT_EQ(resume && session.trainer->resume(), resume);
      session.trainer->run();
      return rig::timeless(session.trainer->state_dict());
    };
    const Scratch whole, halves, other;
    const StateDict expected = state_of(config, false, whole);
    RunConfig half = config;
    half.steps = 77;
    state_of(half, false, halves);
    // The half ended with an evaluation of its own, which alone may differ.
    StateDict resumed = state_of(config, true, halves);
    for (const char* key : {"model", "optimizer", "scaler", "scheduler", "loader"}) {
      EXPECT_EQ(rig::difference(resumed.at(key), expected.at(key)), "") << key;
    }
    config.seed = 1;
    EXPECT_NE(rig::difference(state_of(config, false, other).at("model"), expected.at("model")),
              "");
  }
}

TEST(Control, AdvantagesAreTheSumsOfDiscountedErrors) {
  torch::manual_seed(3);
  const auto reward = torch::rand({6, 2}), value = torch::rand({6, 2}),
             next_value = torch::rand({6, 2});
  auto terminated = torch::zeros({6, 2}, torch::kBool), ended = terminated.clone();
  terminated[2][0] = ended[2][0] = true;  // an episode ends
  ended[3][1] = true;                     // another is truncated: its value still counts
  const auto given = generalised_advantages(reward, value, next_value, terminated, ended, 0.9, 0.8);
  for (std::int64_t place = 0; place < 2; ++place) {
    for (std::int64_t t = 0; t < 6; ++t) {
      double expected = 0, weight = 1;
      for (std::int64_t k = t; k < 6; ++k, weight *= 0.9 * 0.8) {
        const double follows =
            terminated[k][place].item<bool>() ? 0 : 0.9 * next_value[k][place].item<double>();
        expected +=
            weight * (reward[k][place].item<double>() + follows - value[k][place].item<double>());
        if (ended[k][place].item<bool>()) break;
      }
      EXPECT_NEAR(given[t][place].item<double>(), expected, tolerance::kFp32) << t;
    }
  }
}

// Double DQN: the target network's value of the action that the trained network takes; none behind
// a final state.
TEST(Control, DqnTargetsAreRewardsAndDiscountedValues) {
  const auto data = environment_of("cartpole");
  Session session = make_session(control_config("cartpole", "fp32", "dqn", 20), *data);
  session.train->start_epoch(0);
  const data::Batch first = *session.train->next();
  // The target network is still the trained one, and all values are near 0: with 1 for each step
  // that is not final, targets are 1 + 0.99 * max.
  auto& agent = dynamic_cast<ControlLearner&>(*session.learner);
  torch::NoGradGuard no_grad;
  const double most = agent.network().forward(first.input).value.abs().max().item<double>();
  EXPECT_GE(first.target.min().item<double>(), 1 - 0.99 * (most + 1));
  agent.module()->named_parameters()["value.bias"].fill_(50);
  const data::Batch second = *session.train->next();
  // Only the trained network has moved: targets have not.
  EXPECT_LT(second.target.max().item<double>(), 10);
  for (int i = 0; i < 48; ++i) session.train->next();
  const data::Batch copied = *session.train->next();
  EXPECT_NEAR(copied.target.max().item<double>(), 1 + 0.99 * 50, 3);
  // Some of the draws are final: their target is the reward alone.
  EXPECT_EQ(copied.target.min().item<double>(), 1);
}

TEST(Control, SavedRunPlaysEpisodesBySeedAndIsJudgedByOtherEpisodes) {
  const Scratch out;
  const RunConfig config = control_config("acrobot", "bf16-master", "ppo", 20);
  train_run(config, *environment_of("acrobot"), {.out = out.path(), .callbacks = {}});
  SavedRun run = load_run(out.path());
  const Answers answers = predict(run, {"3", "4", "3"}, {});
  const auto& episodes = answers.json.as_array();
  ASSERT_EQ(episodes.size(), 3u);
  EXPECT_EQ(episodes[0].dump(), episodes[2].dump());
  for (const Json& episode : episodes) {
    const bool up = episode.at("end").as_string() == "terminated";
    EXPECT_EQ(
        episode.at("return").as_double(),
        static_cast<double>(up ? 1 - episode.at("steps").as_int() : -episode.at("steps").as_int()));
  }
  EXPECT_NE(answers.text.find("-"), std::string::npos);
  EXPECT_ERROR(predict(run, {"today"}, {}), "predict: \"today\"; expected the seed of an episode");
  EXPECT_ERROR(predict(run, {"3"}, {.top = 2}), "--top for acrobot");
  const auto report = evaluate_run(run, *environment_of("acrobot"));
  EXPECT_EQ(report.evaluation.samples, 100);
  EXPECT_EQ(report.details.json.at("returns").as_array().size(), 100u);
  EXPECT_ERROR(find_task("acrobot").open("/somewhere"),
               "--data /somewhere for acrobot; expected no --data");
}

TEST(Control, ComparedArmsPlayForThemselvesAndNegativeReturnsAreShown) {
  const Scratch out;
  at::set_num_threads(1);
  const RunConfig config = control_config("acrobot", "bf16-master", "ppo", 40);
  const auto data = environment_of("acrobot");
  const Comparison comparison = compare(config, *data, {.out = out.path(), .overwrite = true});
  EXPECT_TRUE(comparison.complete);
  EXPECT_TRUE(comparison.own_batches);
  const std::string table = compare_table(comparison).str();
  EXPECT_NE(table.find("mean return"), std::string::npos);
  EXPECT_LT(comparison.mixed.final_metric(), 0);
  EXPECT_LE(comparison.mixed.best_metric(), -1);
  EXPECT_NE(read_file(out / "report.html").find("each played for its own batches"),
            std::string::npos);
  // As if the arm had been trained alone: nothing of the other's came in.
  RunConfig alone = config;
  at::Tensor weights;
  {
    Session session = make_session(alone, *data);
    const auto total = session.train->batches();
    EXPECT_GT(total, 40);
    session.train->start_epoch(0);
    for (int step = 0; step < 40; ++step) session.trainer->step(*session.train->next());
    weights = session.learner->module()->parameters()[0].to(torch::kFloat);
  }
  SavedRun arm = load_run(out / "bf16-master");
  const at::Tensor trained = arm.learner->module()->parameters()[0].to(torch::kFloat);
  EXPECT_TRUE(torch::equal(trained, weights));
}

}  // namespace
}  // namespace halftone::tasks
