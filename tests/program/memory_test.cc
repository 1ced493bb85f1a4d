// What estimate predicts, and what quantizing then takes.
#include <cstdlib>

#include "tests/program/program.h"
#include <gtest/gtest.h>

#include "base/json.h"

namespace farthing::program {
namespace {

using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// A Llama of two blocks, large enough that matrices outweigh the program.
void write_random_llama(const std::string& directory) {
  const std::string command = std::string(RANDOM_LLAMA_PROGRAM) + " " + directory + " " +
                              source_path("models/tiny-llava-21m") + " 2 1024 8192";
  ASSERT_EQ(std::system(command.c_str()), 0);
}

double bytes(const Words& words, const char* key) {
  const Outcome outcome = run(words + Words{"--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return parse_json(outcome.out, "stdout").at(key).get<double>();
}

TEST(Memory, QuantizingTakesWhatEstimateSays) {
  const TemporaryFolder folder;
  const std::string model = folder / "model";
  write_random_llama(model);
  const Words gptq = {"--method", "gptq", "--samples", "16", "--sequence-length", "256"};
  const Words text = {"--calibration", source_path("data/text/wikitext2-test-part.txt")};
  for (const auto& [method, calibration] :
       {std::pair(Words{"--method", "rtn"}, Words{}), std::pair(gptq, text),
        std::pair(gptq + Words{"--gptaq"}, text)}) {
    const double predicted = bytes(Words{"estimate", model} + method, "quantize_peak_bytes");
    const double measured =
        bytes(Words{"quantize", model, "-o", folder / "out", "--overwrite"} + method + calibration,
              "peak_host_bytes");
    EXPECT_NEAR(predicted / measured, 1.0, 0.15) << method.back() << ": " << predicted << ", " << measured;
  }
}

}  // namespace
}  // namespace farthing::program
