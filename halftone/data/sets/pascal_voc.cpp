#include "halftone/data/sets/pascal_voc.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/image.h"
#include "halftone/data/codec/xml.h"
#include "halftone/data/sets/class_tree.h"
#include "halftone/data/sets/file_collection.h"

namespace halftone::data {
namespace {

struct Annotation {
  std::string image;  // its name in the collection
  std::vector<Box> boxes;
  std::vector<int64_t> classes;
  std::vector<bool> difficult;
};

struct BoxFaults {
  int64_t cut = 0, left_out = 0;
};

const XmlElement& need(const XmlElement& parent, const std::string& name,
                       const std::string& where) {
  if (const XmlElement* child = parent.find(name)) return *child;
  throw Error("<" + parent.name + "> without <" + name + ">", "one",
              where + ", line " + std::to_string(parent.line));
}

double number_in(const XmlElement& parent, const std::string& name, const std::string& where) {
  const XmlElement& element = need(parent, name, where);
  const auto number = parse_double(element.text);
  if (number && std::isfinite(*number)) return *number;
  throw Error("<" + name + "> " + quote(element.text), "a number",
              where + ", line " + std::to_string(element.line));
}

int64_t class_in(const XmlElement& object, const std::vector<std::string>& names,
                 const std::string& where) {
  const XmlElement& name = need(object, "name", where);
  const auto found = std::find(names.begin(), names.end(), name.text);
  if (found != names.end()) return found - names.begin();
  throw Error("class " + quote(name.text), choices(name.text, names),
              where + ", line " + std::to_string(name.line));
}

// No <difficult> is none, as in sets that are only laid out as VOC.
bool is_difficult(const XmlElement& object, const std::string& where) {
  const XmlElement* flag = object.find("difficult");
  if (!flag || flag->text == "0") return false;
  if (flag->text == "1") return true;
  throw Error("<difficult> " + quote(flag->text), "0 or 1",
              where + ", line " + std::to_string(flag->line));
}

void read_objects(const XmlElement& root, const std::vector<std::string>& class_names,
                  const std::string& where, Annotation& annotation, BoxFaults& faults) {
  const XmlElement& size = need(root, "size", where);
  const double width = number_in(size, "width", where), height = number_in(size, "height", where);
  for (const XmlElement& object : root.children) {
    if (object.name != "object") continue;
    const int64_t klass = class_in(object, class_names, where);
    const bool difficult = is_difficult(object, where);
    const XmlElement& edges = need(object, "bndbox", where);
    const double given[] = {number_in(edges, "xmin", where), number_in(edges, "ymin", where),
                            number_in(edges, "xmax", where), number_in(edges, "ymax", where)};
    const double cut[] = {std::clamp(given[0], 0.0, width), std::clamp(given[1], 0.0, height),
                          std::clamp(given[2], 0.0, width), std::clamp(given[3], 0.0, height)};
    if (cut[2] <= cut[0] || cut[3] <= cut[1]) {
      ++faults.left_out;
      continue;
    }
    faults.cut += !std::equal(std::begin(cut), std::end(cut), given);
    annotation.boxes.push_back({static_cast<float>(cut[0]), static_cast<float>(cut[1]),
                                static_cast<float>(cut[2]), static_cast<float>(cut[3])});
    annotation.classes.push_back(klass);
    annotation.difficult.push_back(difficult);
  }
}

void warn_of(const BoxFaults& faults, const std::string& source) {
  const auto boxes = [](int64_t count) {
    return std::to_string(count) + (count == 1 ? " box" : " boxes");
  };
  std::vector<std::string> parts;
  if (faults.cut) parts.push_back(boxes(faults.cut) + " beyond the image cut to it");
  if (faults.left_out) parts.push_back(boxes(faults.left_out) + " of no area in it left out");
  if (!parts.empty()) warn(source + ": " + join(parts));
}

class PascalVoc : public BoxedImages {
 public:
  PascalVoc(FileCollection files, const std::string& split,
            const std::vector<std::string>& class_names, std::shared_ptr<ImageCache> cache)
      : files_(std::move(files)), cache_(std::move(cache)) {
    const std::string list = "ImageSets/Main/" + split + ".txt";
    const std::string root = root_of(list);
    std::istringstream lines(files_.read(root + list));
    BoxFaults faults;
    for (std::string name; lines >> name;) {
      annotations_.push_back(read_annotation(root, name, class_names, faults));
    }
    if (annotations_.empty()) throw Error("no images", "a name a line", files_.where(root + list));
    warn_of(faults, files_.where(root + list));
  }

  int64_t size() const override { return static_cast<int64_t>(annotations_.size()); }
  BoxedImage read(int64_t index) const override {
    const Annotation& found = annotations_[static_cast<size_t>(index)];
    const std::string where = files_.where(found.image);
    return {get_image(cache_.get(), where,
                      [&] { return decode_colour(files_.read(found.image), where); }),
            found.boxes, found.classes, found.difficult};
  }

 private:
  // The folder that the layout is in: "" or "VOC2007/".
  std::string root_of(const std::string& list) const {
    for (const std::string& name : files_.names()) {
      if (name == list || name.ends_with("/" + list)) {
        return name.substr(0, name.size() - list.size());
      }
    }
    throw Error("no " + list, "the layout of PASCAL VOC", files_.source());
  }

  Annotation read_annotation(const std::string& root, const std::string& name,
                             const std::vector<std::string>& class_names, BoxFaults& faults) const {
    const std::string xml = root + "Annotations/" + name + ".xml";
    Annotation annotation{root + "JPEGImages/" + name + ".jpg", {}, {}, {}};
    const std::string where = files_.where(xml);
    if (!files_.contains(annotation.image)) {
      throw Error("an annotation without its image", annotation.image, where);
    }
    read_objects(parse_xml(files_.read(xml), where), class_names, where, annotation, faults);
    return annotation;
  }

  FileCollection files_;
  std::shared_ptr<ImageCache> cache_;
  std::vector<Annotation> annotations_;
};

}  // namespace

std::shared_ptr<const BoxedImages> pascal_voc(const std::filesystem::path& path,
                                              const std::string& split,
                                              const std::vector<std::string>& class_names,
                                              std::shared_ptr<ImageCache> cache) {
  std::filesystem::path source = path;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    if (const auto tar = only_tar(path); !tar.empty()) source = tar;
  }
  return std::make_shared<PascalVoc>(FileCollection(source), split, class_names, std::move(cache));
}

}  // namespace halftone::data
