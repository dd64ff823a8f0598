#include "halftone/data/sets/cifar10.h"

#include <ATen/Functions.h>
#include <unistd.h>

#include <cstdlib>

#include "halftone/base/log.h"
#include "halftone/data/sets/cifar10_binary.h"
#include "tests/data/sets/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

struct File {
  std::string name, content;
};

// `per_class` images of each class, names as "<split>/cat/0003.jpg"; one in three is a PNG.
std::vector<File> image_files(const std::string& split, int per_class) {
  std::vector<File> files;
  int64_t label = 0;
  for (const auto& name : cifar10_classes()) {
    for (int i = 0; i < per_class; ++i) {
      const Pixels pixels = gradient(3, 32, 32, 7 * label + i);
      char number[16];
      std::snprintf(number, sizeof number, "%04d", i);
      const bool png = i % 3 == 2;
      files.push_back(
          {split + "/" + name + "/" + number + (png ? ".png" : ".jpg"),
           png ? encode_png(interleaved(pixels), 32, 32, PNG_FORMAT_RGB) : encode_jpeg(pixels)});
    }
    ++label;
  }
  return files;
}

void write_folder(const std::filesystem::path& dir, const std::vector<File>& files) {
  for (const auto& file : files) {
    std::filesystem::create_directories((dir / file.name).parent_path());
    // Not write_file(): syncing hundreds of small files takes its time.
    FILE* out = std::fopen((dir / file.name).c_str(), "wb");
    std::fwrite(file.content.data(), 1, file.content.size(), out);
    std::fclose(out);
  }
}

void write_tar(const std::filesystem::path& path, std::vector<File> files) {
  std::string archive;
  for (auto file = files.rbegin(); file != files.rend(); ++file) {  // not in the order of names
    archive += tar_entry("./" + file->name, file->content);
  }
  write_file(path, archive + tar_end());
}

bool same(const Dataset& a, const Dataset& b) {
  if (a.size() != b.size()) return false;
  for (int64_t i = 0; i < a.size(); ++i) {
    if (a.label(i) != b.label(i) || !at::equal(a.image(i), b.image(i))) return false;
  }
  return true;
}

TEST(Cifar10, FolderAndTarGiveTheSameImagesInTheSameOrderForAnyThreadCount) {
  Scratch dir;
  auto files = image_files("train", 4);
  for (auto& file : image_files("test", 1)) files.push_back(std::move(file));
  files.push_back({"train/cat/notes.txt", "not an image"});
  std::filesystem::create_directory(dir / "folder");
  write_folder(dir / "folder", files);
  write_tar(dir / "cifar.tar", files);
  const KeepWarnings keep;  // of notes.txt
  const auto folder = cifar10(dir / "folder", true, 1);
  EXPECT_EQ(folder->size(), 40);
  EXPECT_EQ(folder->image_shape(), (std::array<int64_t, 3>{3, 32, 32}));
  EXPECT_EQ(folder->class_names()[3], "cat");
  EXPECT_EQ(folder->label(4 * 3), 3);
  const Pixels exact = gradient(3, 32, 32, 7 * 3 + 2);  // the third of a class is a PNG
  EXPECT_TRUE(std::equal(exact.chw.begin(), exact.chw.end(),
                         folder->image(4 * 3 + 2).const_data_ptr<uint8_t>()));
  EXPECT_TRUE(same(*folder, *cifar10(dir / "cifar.tar", true, 3)));
  EXPECT_TRUE(same(*folder, *cifar10(dir.path(), true)));  // the only .tar in the directory
  EXPECT_EQ(cifar10(dir / "cifar.tar", false)->size(), 10);
  EXPECT_EQ(cifar10(dir / "folder", false)->size(), 10);
}

TEST(Cifar10, CorruptImageIsNamedAndLeftOut) {
  Scratch dir;
  auto files = image_files("train", 11);
  files[25].content.resize(files[25].content.size() / 2);
  std::filesystem::create_directory(dir / "folder");
  write_folder(dir / "folder", files);
  const KeepWarnings keep;
  const auto set = cifar10(dir / "folder", true);
  EXPECT_EQ(set->size(), 109);
  EXPECT_NE(kept_warnings.find("1 of 110 images cannot be read and is left out: "
                               "bird/0003.jpg: corrupt JPEG (Premature end of JPEG file)"),
            std::string::npos)
      << kept_warnings;
  files.erase(files.begin() + 25);
  write_folder(dir / "without", files);
  EXPECT_TRUE(same(*set, *cifar10(dir / "without", true)));
}

TEST(Cifar10, MoreThanOnePercentOfCorruptImagesIsAnError) {
  Scratch dir;
  auto files = image_files("train", 20);
  files[5].content = files[9].content = "GIF89a";
  write_tar(dir / "a.tar", files);
  const KeepWarnings keep;
  EXPECT_EQ(cifar10(dir / "a.tar", true)->size(), 198);  // 1 % exactly
  const Pixels small = gradient(3, 16, 32);
  files[2].content = encode_png(interleaved(small), 16, 32, PNG_FORMAT_RGB);
  write_tar(dir / "a.tar", files);
  kept_warnings.clear();
  EXPECT_ERROR(cifar10(dir / "a.tar", true),
               "3 of 200 images cannot be read: airplane/0002.png: an image of 32x16; expected "
               "32x32; airplane/0005.png: a file that starts with 47 49 46 38");
  EXPECT_ERROR(cifar10(dir / "a.tar", true), "; expected at most 1 %");
  EXPECT_EQ(kept_warnings, "");
}

TEST(Cifar10, GreyImageIsTakenForAColourOne) {
  Scratch dir;
  auto files = image_files("train", 1);
  files[0].content = encode_png(interleaved(gradient(1, 32, 32)), 32, 32, PNG_FORMAT_GRAY);
  write_folder(dir.path(), files);
  const at::Tensor image = cifar10(dir.path(), true)->image(0);
  EXPECT_TRUE(at::equal(image[0], image[2]));
}

TEST(Cifar10, ClassesOfAnotherSetAreErrors) {
  Scratch dir;
  auto files = image_files("train", 1);
  auto with_car = files;
  with_car.push_back({"train/car/1.jpg", "x"});
  write_folder(dir / "car", with_car);
  EXPECT_ERROR(cifar10(dir / "car", true), "class car; expected one of airplane, automobile");
  files.pop_back();
  write_folder(dir / "nine", files);
  EXPECT_ERROR(cifar10(dir / "nine", true), "no images of class truck");
  write_tar(dir / "a.tar", files);
  EXPECT_ERROR(cifar10(dir / "a.tar", true), "a.tar, train/: no images of class truck");
  EXPECT_ERROR(cifar10(dir / "a.tar", false), "a.tar, test/: no images of class airplane");
}

TEST(Cifar10, WhatIsNotCifarIsAnErrorThatSaysWhatIs) {
  Scratch dir;
  EXPECT_ERROR(cifar10(dir / "none", true), "none: no such file or directory");
  EXPECT_ERROR(cifar10(dir.path(), true),
               "a directory without CIFAR-10; expected data_batch_1.bin");
  write_file(dir / "a.tar", "short");
  EXPECT_ERROR(cifar10(dir.path(), true), "a.tar, offset 0: the file ends");
  write_file(dir / "b.tar", "short");
  EXPECT_ERROR(cifar10(dir.path(), true), "2 archives (a.tar, b.tar); expected one");
}

// A file of 10,000 records; record i has label i mod 10 and pixels i mod 256.
std::string binary_batch() {
  std::string content;
  for (int i = 0; i < 10000; ++i) {
    content += static_cast<char>(i % 10);
    content.append(3072, static_cast<char>(i));
  }
  return content;
}

TEST(Cifar10, ReadsTheBinaryBatches) {
  Scratch dir;
  std::filesystem::create_directory(dir / "cifar-10-batches-bin");
  write_file(dir / "cifar-10-batches-bin/test_batch.bin", binary_batch());
  const auto set = cifar10(dir.path(), false);
  EXPECT_TRUE(same(*set, *cifar10(dir / "cifar-10-batches-bin", false)));
  ASSERT_EQ(set->size(), 10000);
  EXPECT_EQ(set->label(9999), 9);
  EXPECT_TRUE(at::equal(set->image(300), at::full({3, 32, 32}, 300 % 256, at::kByte)));
  EXPECT_ERROR(cifar10(dir.path(), true),
               "data_batch_1.bin: no such file; expected data_batch_1.bin, data_batch_2.bin");
}

// Root may read everything: the effective user of all threads while it lives is another one.
class OtherUser {
 public:
  OtherUser() : changed_(::geteuid() == 0 && ::seteuid(65534) == 0) {}
  ~OtherUser() {
    if (changed_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool changed_;
};

TEST(Cifar10, WhatThisUserMayNotReadIsAnErrorThatSaysSo) {
  Scratch dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  const auto hidden = dir / "hidden";
  std::filesystem::create_directories(hidden / "train");
  std::filesystem::create_directories(dir / "open/train/cat");
  std::filesystem::permissions(hidden, std::filesystem::perms(0));
  std::filesystem::permissions(dir / "open/train/cat", std::filesystem::perms(0));
  {
    const OtherUser other;
    EXPECT_ERROR(cifar10(hidden, true),
                 "hidden: cannot read (Permission denied); expected a directory that this user");
    EXPECT_ERROR(cifar10(hidden / "train", true),
                 "hidden/train: cannot read (Permission denied); expected CIFAR-10");
    EXPECT_ERROR(cifar10(dir / "open", true), "open/train/cat: cannot read (Permission denied)");
  }
  std::filesystem::permissions(hidden, std::filesystem::perms(0755));
  std::filesystem::permissions(dir / "open/train/cat", std::filesystem::perms(0755));
}

TEST(Cifar10, WrongBinaryBatchIsAnErrorWithTheOffset) {
  Scratch dir;
  std::string content = binary_batch();
  content[3073 * 77] = 10;
  write_file(dir / "test_batch.bin", content);
  EXPECT_ERROR(cifar10(dir.path(), false), "test_batch.bin, offset 236621: label 10; expected 0");
  content.resize(3073 * 9000);
  write_file(dir / "test_batch.bin", content);
  EXPECT_ERROR(cifar10(dir.path(), false), "test_batch.bin: 27657000 bytes; expected 30730000");
}

}  // namespace
}  // namespace halftone::data
