#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/latency.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "pipelines/picture/quality.h"
#include "pipelines/picture/upscale.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// Gate of design.md section 4 for pictures: PSNR above 40 dB.
constexpr double kGateDb = 40;

struct Job {
  std::string input, output;
};

// With -o naming a picture: that file (one input only). Else DIR (or the input's folder) / STEM_x2.png.
Result<std::vector<Job>> plan(const UpscaleArgs& args, int factor) {
  const std::string suffix = picture_suffix(args.output);
  const bool file = suffix == "png" || suffix == "jpg" || suffix == "jpeg";
  for (const char* other : {"tif", "tiff", "bmp", "gif", "webp", "ppm", "avif", "heic", "jp2"})
    if (suffix == other && !fs::is_directory(args.output))
      return Diag(diag::usage, "-o " + args.output + ": pictures are written as PNG or JPEG",
                  "use .png, .jpg or .jpeg, or name a folder");
  if (file && args.pictures.size() != 1)
    return Diag(diag::usage, "-o " + args.output + " names one picture, but there are several to enlarge",
                "give a folder");
  std::vector<Job> jobs;
  for (const std::string& in : args.pictures) {
    const fs::path folder = args.output.empty() ? fs::path(in).parent_path() : fs::path(args.output);
    const std::string name = fmt::format("{}_x{}.png", fs::path(in).stem().string(), factor);
    jobs.push_back({in, file ? args.output : (folder / name).string()});
  }
  for (size_t i = 0; i < jobs.size(); ++i)
    for (size_t k = 0; k < jobs.size(); ++k)
      if (fs::weakly_canonical(jobs[i].output) == fs::weakly_canonical(jobs[k].input) ||
          (i != k && jobs[i].output == jobs[k].output))
        return Diag(diag::usage,
                    "'" + jobs[i].output + "' would be overwritten by the result of '" + jobs[i].input + "'",
                    "give another folder with -o");
  if (!file && !args.output.empty()) NPU_TRY(make_folders(args.output));
  return jobs;
}

Json finite(double v) { return std::isfinite(v) ? Json(v) : Json("inf"); }

struct Compared {
  Json json;
  std::string text;
  bool passed = true;
};

Result<Compared> compare(const UpscaleArgs& args, const Picture& got) {
  NPU_ASSIGN(const Picture wanted, read_picture(args.reference));
  auto quality = compare_pictures(got, wanted, args.border);
  if (!quality) return std::move(quality.error().in_file(args.reference));
  Compared c;
  c.json = {{"file", args.reference},
            {"psnr", finite(quality->psnr)},
            {"psnr_y", finite(quality->psnr_y)},
            {"ssim", quality->ssim}};
  c.text = fmt::format("PSNR {:.2f} dB (luma {:.2f} dB), SSIM {:.4f} against {}", quality->psnr, quality->psnr_y,
                       quality->ssim, args.reference);
  if (args.gate) {
    c.passed = quality->psnr > kGateDb;
    c.json["gate"] = c.passed ? "PASS" : "FAIL";
    c.text += fmt::format("\n  gate PSNR > {} dB: {}", kGateDb, c.passed ? "PASS" : "FAIL");
  }
  return c;
}

struct Timing {
  std::vector<double> pictures, tiles;  // milliseconds
};

Json timing_json(const Timing& t) {
  return Json{{"picture_ms", latency_json(t.pictures)},
              {"tile_ms", latency_json(t.tiles)},
              {"peak_memory_bytes", peak_memory_bytes()}};
}

std::string timing_text(const Json& j) {
  std::string out;
  for (const char* what : {"picture_ms", "tile_ms"}) out += latency_line(what, j[what], 10);
  return out + "  peak memory " + format_bytes(j["peak_memory_bytes"].get<uint64_t>()) + "\n";
}

// One picture: its JSON object. Adds to `text`; `passed` turns false when the gate failed.
Result<Json> enlarge(const App& app, const UpscaleArgs& args, Upscaler& model, const Job& job, std::string& text,
                     bool& passed) {
  Progress progress("upscale", app.quiet);
  NPU_ASSIGN(const Picture picture, read_picture(job.input));
  for (const std::string& change : picture.changes) app.log(0, job.input + ": " + change);
  Timing timing;
  Upscaled result;
  for (int i = 0; i < std::max(1, args.benchmark); ++i) {
    NPU_ASSIGN(result, model.run(picture, [&](double share) { progress.update(share, job.input); }));
    timing.pictures.push_back(1000 * result.seconds);
    timing.tiles.insert(timing.tiles.end(), result.tile_millis.begin(), result.tile_millis.end());
  }
  progress.clear();
  NPU_TRY(write_picture(result.picture, job.output, args.quality));
  Json j{{"file", job.input},
         {"output", job.output},
         {"width", result.picture.width},
         {"height", result.picture.height},
         {"factor", model.factor()},
         {"tiles", result.tiles},
         {"overlap", model.context()},
         {"seamless", result.tiles == 1 || model.seamless()},
         {"backend", model.backend()},
         {"seconds", result.seconds}};
  text += fmt::format("{}: {}x{} -> {}x{}, {} tile{}, {:.2f} s ({})\n  {}\n", job.input, picture.width, picture.height,
                      result.picture.width, result.picture.height, result.tiles, result.tiles == 1 ? "" : "s",
                      result.seconds, model.backend(), job.output);
  if (result.tiles > 1 && !model.seamless()) {
    Diag seams(diag::unverified,
               "tiles overlap by " + std::to_string(2 * model.context()) +
                   " pixels, but how far the network sees is not known or further: seams are possible",
               "port the model for a larger input, or raise --overlap");
    seams.severity = Severity::warning;
    app.warn(seams);
  }
  if (!args.reference.empty()) {
    NPU_ASSIGN(const Compared c, compare(args, result.picture));
    j["reference"] = c.json;
    text += "  " + c.text + "\n";
    passed = passed && c.passed;
  }
  if (args.benchmark > 0) {
    j["benchmark"] = timing_json(timing);
    text += timing_text(j["benchmark"]);
  }
  return j;
}

}  // namespace

CommandResult upscale(const App& app, const UpscaleArgs& args) {
  if (!args.reference.empty() && args.pictures.size() != 1)
    return Diag(diag::usage, "--reference compares one picture, but several are given");
  if (args.gate && args.reference.empty())
    return Diag(diag::usage, "--gate has nothing to compare with", "name PyTorch's picture with --reference");
  UpscaleOptions options{args.part, args.backend, {}, args.overlap};
  if (app.threads > 0) options.runtime.push_back({"threads", std::to_string(app.threads)});
  NPU_ASSIGN(Upscaler model, Upscaler::open(args.model, options));
  NPU_ASSIGN(const std::vector<Job> jobs, plan(args, model.factor()));
  Outcome out;
  out.json = Json::array();
  bool passed = true;
  for (const Job& job : jobs) {
    Result<Json> done = enlarge(app, args, model, job, out.text, passed);
    if (!done) {
      if (jobs.size() == 1) return std::move(done.error());
      // The other pictures are enlarged all the same; the exit code tells the worst.
      app.warn(done.error());
      out.exit_code = std::max(out.exit_code, done.error().code ? done.error().code->exit_code : 4);
      out.json.push_back(Json{{"file", job.input}, {"error", diag_json(done.error())}});
      continue;
    }
    out.json.push_back(std::move(*done));
  }
  if (!passed) out.exit_code = 1;
  return out;
}

}  // namespace npuport::app
