// Images sorted into one directory per class, on disk or in a tar archive.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/data/sets/image_list.h"

namespace halftone::data {

// What is in a directory, in no order. Throws Error where it cannot be read.
std::vector<std::filesystem::directory_entry> directory_entries(const std::filesystem::path& dir);

// The only *.tar of a directory; empty where there is none. Throws Error where there are several.
std::filesystem::path only_tar(const std::filesystem::path& dir);

// The images CLASS/*.{jpg,jpeg,png} below `dir`, sorted by name; the label is the class's place in
// `classes`. Other files are passed over, and a warning says how many and which. Throws Error for a
// directory of another name and for a class without images.
ImageList list_directory(const std::filesystem::path& dir, const std::vector<std::string>& classes);

// The same for the files …/<split>/CLASS/* of a tar archive, which stays open as long as the list.
ImageList list_tar(const std::filesystem::path& tar, const std::string& split,
                   const std::vector<std::string>& classes);

}  // namespace halftone::data
