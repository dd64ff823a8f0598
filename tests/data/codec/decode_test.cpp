#include "halftone/data/codec/decode.h"

#include <cmath>

#include "halftone/data/codec/jpeg.h"
#include "halftone/data/codec/png.h"
#include "tests/data/codec/encode.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

// JPEG at quality 100 on a smooth image: quantisation steps of 1 in each of the transform and the
// colour conversion.
constexpr int kJpegStep = 3;

int largest_difference(const Pixels& a, const Pixels& b) {
  if (a.channels != b.channels || a.height != b.height || a.width != b.width) return 256;
  int largest = 0;
  for (size_t i = 0; i < a.chw.size(); ++i) {
    largest = std::max(largest, std::abs(int{a.chw[i]} - int{b.chw[i]}));
  }
  return largest;
}

TEST(Jpeg, ColourAndGreyComeBackNearly) {
  for (int64_t channels : {1, 3}) {
    for (int64_t height : {1, 17, 32}) {
      const Pixels pixels = gradient(channels, height, 23);
      const std::string file = encode_jpeg(pixels);
      EXPECT_LE(largest_difference(decode_image(as_bytes(file), "a.jpg"), pixels), kJpegStep);
    }
  }
}

TEST(Jpeg, InksBecomeColour) {
  const Pixels inks = gradient(4, 17, 23);
  const size_t plane = 17 * 23;
  for (const bool adobe : {true, false}) {  // whose files hold the light that an ink leaves
    const auto light = [&](size_t i) { return adobe ? inks.chw[i] : 255 - inks.chw[i]; };
    Pixels expected{3, 17, 23, {}};
    for (size_t i = 0; i < 3 * plane; ++i) {
      const int product = light(i) * light(3 * plane + i % plane);
      expected.chw.push_back(static_cast<uint8_t>((product + 127) / 255));
    }
    const std::string file = encode_jpeg(inks, adobe);
    // A step of each of the two factors.
    EXPECT_LE(largest_difference(decode_image(as_bytes(file), "a.jpg"), expected), 2 * kJpegStep);
  }
}

TEST(Jpeg, TruncatedAnywhereIsAnErrorThatNamesTheFile) {
  const std::string file = encode_jpeg(gradient(3, 32, 32));
  for (size_t length = 0; length < file.size() - 2; ++length) {
    const std::string cut = file.substr(0, length);
    EXPECT_ERROR(decode_jpeg(as_bytes(cut), "a.jpg"), "a.jpg: ");
  }
  const std::string half = file.substr(0, file.size() / 2 + 200);
  EXPECT_ERROR(decode_jpeg(as_bytes(half), "a.jpg"),
               "a.jpg: corrupt JPEG (Premature end of JPEG file); expected a whole JPEG file");
}

TEST(Jpeg, DamageNeverEndsTheProcess) {
  const std::string file = encode_jpeg(gradient(3, 16, 16));
  int errors = 0;
  for (size_t place = 0; place < file.size(); ++place) {
    for (int flip : {0xff, 0x10}) {
      std::string damaged = file;
      damaged[place] = static_cast<char>(damaged[place] ^ flip);
      try {
        decode_jpeg(as_bytes(damaged), "a.jpg");
      } catch (const Error&) {
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 100);
}

TEST(Jpeg, ImageOfAbsurdSizeIsRefusedBeforeMemoryIsTaken) {
  std::string file = encode_jpeg(gradient(1, 16, 16));
  const size_t frame = file.find("\xff\xc0");  // start of frame: length, precision, height, width
  ASSERT_NE(frame, std::string::npos);
  file.replace(frame + 5, 4, "\xff\xdc\xff\xdc");
  EXPECT_ERROR(decode_jpeg(as_bytes(file), "a.jpg"), "a.jpg: an image of 65500x65500; expected");
}

TEST(Png, ColourAndGreyComeBackExactly) {
  for (int64_t channels : {1, 3}) {
    const Pixels pixels = gradient(channels, 9, 13);
    const std::string file =
        encode_png(interleaved(pixels), 9, 13, channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    EXPECT_EQ(largest_difference(decode_image(as_bytes(file), "a.png"), pixels), 0);
  }
}

TEST(Png, TransparencyIsDropped) {
  const Pixels four = gradient(4, 5, 6);
  const std::string file = encode_png(interleaved(four), 5, 6, PNG_FORMAT_RGBA);
  Pixels three{3, 5, 6, {four.chw.begin(), four.chw.begin() + 90}};
  EXPECT_EQ(largest_difference(decode_png(as_bytes(file), "a.png"), three), 0);
}

TEST(Png, TruncatedOrDamagedIsAnErrorThatNamesTheFile) {
  const std::string file = encode_png(interleaved(gradient(3, 32, 32)), 32, 32, PNG_FORMAT_RGB);
  for (size_t length = 0; length < file.size() - 16; ++length) {  // before the last chunk
    const std::string cut = file.substr(0, length);
    EXPECT_ERROR(decode_png(as_bytes(cut), "a.png"), "a.png: ");
  }
  for (size_t place = 0; place < file.size(); ++place) {
    std::string damaged = file;
    damaged[place] = static_cast<char>(damaged[place] ^ 0x41);
    try {
      decode_png(as_bytes(damaged), "a.png");
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), "a.png");
    }
  }
}

TEST(DecodeImage, OtherFormatsAreNamedByTheirFirstBytes) {
  const std::string gif = "GIF89a", nothing;
  EXPECT_ERROR(decode_image(as_bytes(gif), "a.jpg"),
               "a.jpg: a file that starts with 47 49 46 38; expected a JPEG or PNG image");
  EXPECT_ERROR(decode_image(as_bytes(nothing), "a.jpg"), "a.jpg: an empty file; expected");
}

}  // namespace
}  // namespace halftone::data
