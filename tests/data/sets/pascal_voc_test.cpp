#include "halftone/data/sets/pascal_voc.h"

#include "halftone/base/log.h"
#include "tests/data/sets/voc_fixture.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

const std::vector<std::string> kCells{"RBC", "WBC"};

std::string voc_warning;

// What was read, and what was said.
std::shared_ptr<const BoxedImages> read_voc(const std::filesystem::path& path,
                                            const std::string& split = "train") {
  voc_warning.clear();
  const LogSink before = set_log_sink([](auto, auto text) { voc_warning += text; });
  struct Restore {
    LogSink sink;
    ~Restore() { set_log_sink(sink); }
  } restore{before};
  return pascal_voc(path, split, kCells);
}

TEST(PascalVoc, ReadsBoxesAndClassesOfASplitBelowAnyFolder) {
  const Scratch scratch;
  add_voc_image(scratch / "BCCD", "train", "a", 20, 30,
                {{"WBC", {2, 3, 12, 13}, "1"}, {"RBC", {10, 5, 30, 20}}});
  add_voc_image(scratch / "BCCD", "train", "nothing", 20, 30, {});
  add_voc_image(scratch / "BCCD", "val", "b", 20, 30, {{"RBC", {1, 1, 5, 5}}});
  const auto train = read_voc(scratch.path());
  EXPECT_EQ(voc_warning, "");
  ASSERT_EQ(train->size(), 2);
  const BoxedImage first = train->read(0);
  EXPECT_EQ(first.image.sizes(), at::IntArrayRef({3, 20, 30}));
  EXPECT_EQ(first.boxes, (std::vector<Box>{{2, 3, 12, 13}, {10, 5, 30, 20}}));
  EXPECT_EQ(first.classes, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(first.difficult, (std::vector<bool>{true, false}));
  EXPECT_TRUE(train->read(1).boxes.empty());
  EXPECT_EQ(read_voc(scratch.path(), "val")->size(), 1);
  EXPECT_ERROR(read_voc(scratch.path(), "test"), "no ImageSets/Main/test.txt");
}

TEST(PascalVoc, KeepsImagesInTheCache) {
  const Scratch scratch;
  add_voc_image(scratch.path(), "train", "a", 20, 30, {});
  const auto cache = std::make_shared<ImageCache>(2000);
  const auto train = pascal_voc(scratch.path(), "train", kCells, cache);
  const at::Tensor image = train->read(0).image;
  EXPECT_EQ(cache->bytes(), 3 * 20 * 30);
  std::filesystem::remove_all(scratch / "JPEGImages");
  EXPECT_TRUE(train->read(0).image.equal(image));
}

TEST(PascalVoc, ReadsATar) {
  const Scratch scratch;
  const std::vector<VocObject> objects{{"RBC", {1, 2, 8, 9}}};
  write_file(scratch / "cells.tar",
             tar_entry("D/JPEGImages/a.jpg", encode_jpeg(slide(20, 30, objects))) +
                 tar_entry("D/Annotations/a.xml", voc_xml(20, 30, objects)) +
                 tar_entry("D/ImageSets/Main/train.txt", "a\n") + tar_end());
  EXPECT_EQ(read_voc(scratch.path())->read(0).boxes, (std::vector<Box>{{1, 2, 8, 9}}));
  EXPECT_EQ(read_voc(scratch / "cells.tar")->size(), 1);
}

TEST(PascalVoc, BoxesOutsideOrOfNoAreaAreCountedInOneWarning) {
  const Scratch scratch;
  add_voc_image(scratch.path(), "train", "a", 20, 30, {{"RBC", {1, 1, 5, 5}}});
  write_file(scratch / "Annotations" / "a.xml", voc_xml(20, 30,
                                                        {{"RBC", {-3, 4, 10, 12}},
                                                         {"RBC", {5, 5, 5, 9}},
                                                         {"WBC", {40, 2, 50, 9}},
                                                         {"WBC", {9, 9, 6, 12}}}));
  const BoxedImage image = read_voc(scratch.path())->read(0);
  EXPECT_EQ(image.boxes, (std::vector<Box>{{0, 4, 10, 12}}));
  EXPECT_NE(voc_warning.find("1 box beyond the image cut to it, 3 boxes of no area in it left out"),
            std::string::npos)
      << voc_warning;
}

TEST(PascalVoc, BadAnnotationsAreErrorsWithFileAndLine) {
  const Scratch scratch;
  add_voc_image(scratch.path(), "train", "a", 20, 30, {{"Cat", {1, 1, 5, 5}}});
  EXPECT_ERROR(read_voc(scratch.path()), "a.xml, line 4: class \"Cat\"; expected RBC or WBC");
  const auto write = [&](const std::string& xml) {
    write_file(scratch / "Annotations" / "a.xml", xml);
  };
  write("<annotation>\n<object></annotation>");
  EXPECT_ERROR(read_voc(scratch.path()), "a.xml, line 2: malformed XML");
  write(voc_xml(20, 30, {{"RBC", {1, 1, 5, 5}, "maybe"}}));
  EXPECT_ERROR(read_voc(scratch.path()), "a.xml, line 4: <difficult> \"maybe\"; expected 0 or 1");
  write("<annotation></annotation>");
  EXPECT_ERROR(read_voc(scratch.path()), "a.xml, line 1: <annotation> without <size>");
  std::string xml = voc_xml(20, 30, {{"RBC", {1, 1, 5, 5}}});
  write(xml.replace(xml.find("<xmin>") + 6, 3, "one"));
  EXPECT_ERROR(read_voc(scratch.path()), "<xmin> \"one");
  std::filesystem::remove(scratch / "Annotations" / "a.xml");
  EXPECT_ERROR(read_voc(scratch.path()), "no such file");
}

TEST(PascalVoc, AnnotationWithoutItsImageIsAnError) {
  const Scratch scratch;
  add_voc_image(scratch.path(), "train", "a", 20, 30, {});
  std::filesystem::remove(scratch / "JPEGImages" / "a.jpg");
  EXPECT_ERROR(read_voc(scratch.path()), "an annotation without its image");
  write_file(scratch / "ImageSets" / "Main" / "train.txt", "\n");
  EXPECT_ERROR(read_voc(scratch.path()), "no images; expected a name a line");
}

}  // namespace
}  // namespace halftone::data
