// A DCGAN of two phases: learning, exact resume, pictures.
#include <algorithm>
#include <cstdlib>

#include "halftone/base/file.h"
#include "halftone/data/codec/image.h"
#include "halftone/tasks/gan_learner.h"
#include "halftone/tasks/image_grid.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "halftone/train/safetensors.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"
#include "tests/train/rig.h"

namespace halftone::tasks {
namespace {

std::string idx(std::vector<std::uint32_t> shape, const std::string& bytes) {
  std::string file{0, 0, 8, static_cast<char>(shape.size())};
  for (const std::uint32_t size : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) file += static_cast<char>(size >> shift);
  }
  return file + bytes;
}

// Bright bars, wider or narrower, at one of ten heights; the user's cache is elsewhere meanwhile.
class Bars {
 public:
  Bars() {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    if (cache) before_ = cache;
    setenv("XDG_CACHE_HOME", (scratch_ / "cache").c_str(), 1);
    write("train", 640);
    write("t10k", 320);
  }
  ~Bars() {
    if (before_.empty()) {
      unsetenv("XDG_CACHE_HOME");
    } else {
      setenv("XDG_CACHE_HOME", before_.c_str(), 1);
    }
  }
  Bars(const Bars&) = delete;
  Bars& operator=(const Bars&) = delete;

  std::shared_ptr<const TaskData> open() const {
    at::set_num_threads(1);
    return find_task("fashion-gan").open(scratch_.path());
  }
  std::size_t cached() const {
    const std::filesystem::directory_iterator files(scratch_ / "cache/halftone/fashion-gan"), end;
    return static_cast<std::size_t>(std::distance(files, end));
  }

 private:
  void write(const std::string& part, std::uint32_t count) {
    std::string pixels, labels;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t kind = i % 10, margin = 2 + i / 10 % 8;
      for (std::uint32_t y = 0; y < 28; ++y) {
        for (std::uint32_t x = 0; x < 28; ++x) {
          const bool bright = y / 2 == kind + 2 && x >= margin && x < 28 - margin;
          pixels += static_cast<char>(bright ? 230 : 10);
        }
      }
      labels += static_cast<char>(kind);
    }
    write_file(scratch_ / (part + "-images-idx3-ubyte"), idx({count, 28, 28}, pixels));
    write_file(scratch_ / (part + "-labels-idx1-ubyte"), idx({count}, labels));
  }

  Scratch scratch_;
  std::string before_;
};

RunConfig gan_config(const std::string& preset, const std::string& model = "") {
  RunConfig config = task_config("fashion-gan", preset, model);
  config.batch = 64;
  config.lr = 2e-3;
  return config;
}

TEST(FashionGan, TwentyStepsBringGeneratedImagesNearerInEveryPrecision) {
  const Bars bars;
  const auto data = bars.open();
  for (const char* model : {"dcgan-hinge", "dcgan-bce"}) {
    for (const std::string preset : {"fp32", "bf16-master", "fp16-master"}) {
      if (preset == "fp16-master" && model == std::string("dcgan-bce"))
        continue;  // slow without fp16
      SCOPED_TRACE(std::string(model) + ", " + preset);
      Session session = make_session(gan_config(preset, model), *data);
      const double before = session.trainer->evaluate().metric("frechet_distance");
      const TrainResult result = session.trainer->run();
      EXPECT_EQ(result.steps, 20);
      EXPECT_EQ(result.last.samples, 320);
      EXPECT_LT(result.last.metric("frechet_distance"), 0.95 * before);
    }
  }
  EXPECT_EQ(bars.cached(), 1u);  // the classifier is trained once
}

TEST(FashionGan, ResumesExactlyAndKeepsPicturesAndTheClassifier) {
  const Bars bars;
  const auto data = bars.open();
  const Scratch whole, halves;
  RunConfig config = gan_config("bf16-master");
  config.epochs = 1;
  config.steps = 8;
  train_run(config, *data, {.out = whole.path(), .callbacks = {}});
  config.steps = 3;
  train_run(config, *data, {.out = halves.path(), .callbacks = {}});
  config.steps = 8;
  train_run(config, *data, {.out = halves.path(), .resume = true, .callbacks = {}});
  EXPECT_EQ(read_file(halves / "weights.safetensors"), read_file(whole / "weights.safetensors"));
  EXPECT_EQ(read_file(halves / "samples/step-000008.png"),
            read_file(whole / "samples/step-000008.png"));
  EXPECT_NE(read_file(halves / "samples/step-000003.png"),
            read_file(whole / "samples/step-000008.png"));
  // 64 images of 56 pixels with a frame of 2.
  const at::Tensor picture = data::load_image(whole / "samples/step-000008.png");
  EXPECT_EQ(picture.sizes().slice(1), at::IntArrayRef({466, 466}));

  SavedRun run = load_run(whole.path());
  const Scratch out;
  const auto draw = [&](const std::string& name, std::int64_t seed) {
    PredictOptions options;
    options.seed = seed;
    const std::string file = (out / name).string();
    const Answers answers = predict(run, {file}, options);
    EXPECT_EQ(answers.text, "64 images in " + file + "\n");
    return read_file(file);
  };
  EXPECT_EQ(draw("a.png", 1), draw("b.png", 1));
  EXPECT_NE(draw("c.png", 2), draw("d.png", 1));
  EXPECT_ERROR(predict(run, {(out / "none/e.png").string()}, {}), "none/e.png");
  EXPECT_NEAR(evaluate_run(run, *data).evaluation.metric("frechet_distance"),
              evaluate_run(run, *data, 100).evaluation.metric("frechet_distance"), 1e-3);
}

TEST(FashionGan, LossesAreThoseOfThePapers) {
  const Bars bars;
  const auto data = bars.open();
  torch::NoGradGuard no_grad;
  for (const bool hinge : {true, false}) {
    Session session = make_session(gan_config("fp32", hinge ? "dcgan-hinge" : "dcgan-bce"), *data);
    auto& gan = dynamic_cast<models::Dcgan&>(*session.learner->module());
    // The discriminator says the same of every image.
    gan.discriminator()->named_parameters()["fc.weight"].zero_();
    for (const double says : {-2.0, 0.5, 3.0}) {
      gan.discriminator()->named_parameters()["fc.bias"].fill_(says);
      const data::Batch batch{.input = torch::zeros({4, 1, 28, 28})};
      const double real = hinge ? std::max(0.0, 1 - says) : std::log1p(std::exp(-says));
      const double made = hinge ? std::max(0.0, 1 + says) : std::log1p(std::exp(says));
      EXPECT_NEAR(session.learner->phase_loss(batch, 0).item<double>(), real + made, 1e-6);
      EXPECT_NEAR(session.learner->phase_loss(batch, 1).item<double>(), hinge ? -says : real, 1e-6);
    }
  }
}

TEST(FashionGan, FileThatIsNoClassifierIsAnError) {
  EXPECT_ERROR(ImageJudge("nothing", "judge.safetensors"), "judge.safetensors");
  const Scratch scratch;
  write_safetensors(scratch / "other", {{"fc.weight", torch::zeros({2, 2})}});
  EXPECT_ERROR(ImageJudge(read_file(scratch / "other"), "other"), "other: no features.mean");
}

TEST(Latents, AreStandardNormalAndDependOnSeedAndPlaceAlone) {
  const at::Tensor all = latents(3, 0, 2000, 8);
  EXPECT_NEAR(all.mean().item<double>(), 0, 0.04);  // five deviations of 1 / sqrt(16000)
  EXPECT_NEAR(all.std().item<double>(), 1, 0.03);
  EXPECT_NEAR(all.pow(4).mean().item<double>(), 3, 0.4);
  EXPECT_TRUE(torch::equal(latents(3, 700, 10, 8), all.narrow(0, 700, 10)));
  EXPECT_FALSE(torch::equal(latents(4, 0, 10, 8), all.narrow(0, 0, 10)));
}

TEST(ImageGrid, PlacesPixelsRowByRow) {
  const Scratch scratch;
  at::Tensor images = torch::full({3, 1, 2, 2}, -1.0);
  images[1].fill_(1);
  images[2][0][1][0] = 0.0;
  write_file(scratch / "grid.png", image_grid(images, 2));
  const at::Tensor picture = data::load_image(scratch / "grid.png");
  EXPECT_EQ(picture.sizes().slice(1), at::IntArrayRef({14, 14}));
  const auto pixel = [&](int y, int x) { return picture[0][y][x].item<int>(); };
  EXPECT_EQ(pixel(0, 0), 220);
  EXPECT_EQ(pixel(2, 2), 0);
  EXPECT_EQ(pixel(5, 8), 255);
  EXPECT_EQ(pixel(10, 3), 128);
  EXPECT_EQ(pixel(9, 9), 220);  // no fourth image
  EXPECT_ERROR(image_grid(torch::zeros({2, 2}), 2), "picture: images [2, 2] in 2 columns");
}

}  // namespace
}  // namespace halftone::tasks
