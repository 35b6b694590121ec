// Runs a fuzz target without libFuzzer: every file of the named directories as it is, cut short at many places, and
// with bytes changed by a fixed generator. Succeeds when nothing crashes; a missing or empty corpus is a failure.
// NPUPORT_FUZZ_ROUNDS=N makes N times as many changed copies; NPUPORT_FUZZ_KEEP=FILE writes each input there before it
// is run, so that the one that crashed stays behind.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kCuts = 64;        // prefixes tried per seed
constexpr size_t kMutations = 256;  // changed copies tried per seed
constexpr size_t kMaxSeed = 1 << 20;

using Bytes = std::vector<uint8_t>;

void run(const Bytes& bytes) {
  static const char* const keep = std::getenv("NPUPORT_FUZZ_KEEP");
  if (keep != nullptr)
    std::ofstream(keep, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  // A copy of exactly the right size on the heap lets the sanitizer see any read past its end.
  const Bytes exact(bytes);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void mutate(Bytes& bytes, std::mt19937& random) {
  static constexpr uint8_t kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x28, 0x2e};
  const size_t changes = 1 + random() % 4;
  for (size_t k = 0; k < changes && !bytes.empty(); ++k) {
    const size_t at = random() % bytes.size();
    switch (random() % 6) {
      case 0:
        bytes[at] = static_cast<uint8_t>(random());
        break;
      case 1:
        bytes[at] = kEdges[random() % std::size(kEdges)];
        break;
      case 2:
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::min<size_t>(8, bytes.size() - at),
                    uint8_t{0xff});
        break;
      case 3: {  // a piece from elsewhere: counts, offsets and names that exist, in the wrong place
        const size_t from = random() % bytes.size();
        const size_t length = std::min<size_t>(1 + random() % 32, bytes.size() - from);
        const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                          bytes.begin() + static_cast<std::ptrdiff_t>(from + length));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
        break;
      }
      case 4: {  // the same over what is there
        const size_t from = random() % bytes.size();
        const size_t length = std::min<size_t>(1 + random() % 16, bytes.size() - std::max(from, at));
        const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                          bytes.begin() + static_cast<std::ptrdiff_t>(from + length));
        std::copy(piece.begin(), piece.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      }
      default:
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
}

size_t rounds() {
  const char* text = std::getenv("NPUPORT_FUZZ_ROUNDS");
  const long n = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return n < 1 ? 1 : static_cast<size_t>(n);
}

size_t run_seed(const Bytes& seed) {
  run(seed);
  for (size_t k = 0; k < kCuts; ++k)
    run(Bytes(seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(seed.size() * k / kCuts)));
  std::mt19937 random(static_cast<uint32_t>(seed.size()));
  const size_t mutations = kMutations * rounds();
  for (size_t k = 0; k < mutations; ++k) {
    Bytes changed = seed;
    mutate(changed, random);
    run(changed);
  }
  return 1 + kCuts + mutations;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int k = 1; k < argc; ++k) {
    std::error_code error;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[k], error)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::fprintf(stderr, "no seeds found\n");
    return EXIT_FAILURE;
  }
  size_t runs = 0;
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    Bytes seed((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (seed.size() > kMaxSeed) seed.resize(kMaxSeed);
    runs += run_seed(seed);
  }
  std::printf("%zu seeds, %zu runs\n", files.size(), runs);
  return EXIT_SUCCESS;
}
