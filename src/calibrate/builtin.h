// The calibration set inside the program: short chats, and for models that read pictures a few photos with
// questions.
#pragma once

#include <string_view>

#include "calibrate/record.h"

namespace farthing::calibrate {

/// A file of data/calibration as it lies in the program.
struct BuiltinFile {
  std::string_view name;  // "pictures/kitten-whole.jpg"
  std::string_view bytes;
};
std::vector<BuiltinFile> builtin_files();

/// Chats for text models; for models that read pictures, the question about each photo.
std::vector<Record> builtin_records(const RecordOptions& options);

}  // namespace farthing::calibrate
